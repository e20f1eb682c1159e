//! A host's settings: flags override `TIDEMILL_*`, which override `tidemill-host.toml`, which
//! overrides the defaults. Each value carries its origin.
//!
//! All values are read as text first, in the same way from every layer, and checked once.

mod specs;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use tidemill_control::ZoneDirectory;
use tidemill_core::healing::HealingMode;
use tidemill_core::ids::InvalidName;
use tidemill_core::origin::OriginPattern;
use tidemill_core::quotas::Quotas;
use tidemill_engine::{EgressPolicy, Roots};

use self::specs::{SPECS, SettingSpec};
use super::alerts::AlertFile;
use super::master_key::{MasterKeySettings, MasterKeySource};
use super::policy::PolicyFile;
use crate::client::read_token;
use crate::error::CliError;
use crate::printer::Row;

/// Name of the settings file, in the folder in which the host is started.
pub const FILE: &str = "tidemill-host.toml";
/// Maximum size of the settings file, in bytes.
const FILE_BYTES: u64 = 64 * 1024;
/// Maximum size of a file of certificates, in bytes.
const ROOTS_BYTES: u64 = 1 << 20;
/// Minimum length of a token, in bytes: a shorter one can be guessed.
const TOKEN_BYTES: usize = 16;

/// The flags of the settings. A flag that is left out falls back to the environment, the file, then
/// the default.
#[derive(Debug, Default, Clone)]
pub struct SettingFlags {
    values: BTreeMap<&'static str, String>,
    config: Option<PathBuf>,
}

impl SettingFlags {
    /// Adds the value of a flag.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.values.insert(key, value.into());
        self
    }
}

impl clap::Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let config = clap::Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Settings file [default: tidemill-host.toml, if it exists]");
        command.args(SPECS.iter().filter_map(SettingSpec::arg)).arg(config)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(given: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let flags = SPECS.iter().filter(|spec| spec.flag.is_some());
        let value = |spec: &SettingSpec| Some((spec.key, given.get_one::<String>(spec.key)?.clone()));
        Ok(Self { values: flags.filter_map(value).collect(), config: given.get_one("config").cloned() })
    }

    fn update_from_arg_matches(&mut self, given: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(given)?;
        Ok(())
    }
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOrigin {
    /// A flag of the command.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// The settings file.
    File(PathBuf),
    /// The default.
    Default,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One value in the output of `--print-config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisplayedSetting {
    /// The name of the setting.
    pub setting: &'static str,
    /// The value; a secret is hidden.
    pub value: String,
    /// The origin of the value.
    pub origin: String,
}

impl Row for DisplayedSetting {
    const HEADS: &'static [&'static str] = &["SETTING", "VALUE", "FROM"];
    fn cells(&self) -> Vec<String> {
        vec![self.setting.to_owned(), self.value.clone(), self.origin.clone()]
    }
}

/// A host's checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// The token that grants full access.
    pub token: Option<Token>,
    /// The sources of the master key.
    pub master_key: MasterKeySettings,
    /// The host's name.
    pub node: tidemill_core::NodeId,
    /// Maximum number of running runs.
    pub concurrency: u32,
    /// Maximum memory that a deployment may allow each run, in bytes.
    pub memory_max: u64,
    /// Grace period for running runs at shutdown.
    pub shutdown: Duration,
    /// Interval between scrubs; `None` for never.
    pub scrub_every: Option<Duration>,
    /// How long a waiting run stays in memory.
    pub keep_waiting: Duration,
    /// Whether open findings about the ledger degrade the host's health.
    pub findings_degrade_health: bool,
    /// What the host may do about unhealthy deployments.
    pub healing: HealingMode,
    /// How long ended runs and operations are kept; `None` to keep them forever.
    pub retention: Option<Duration>,
    /// How long events are kept; `None` to keep them forever.
    pub event_retention: Option<Duration>,
    /// Maximum number of events kept per topic.
    pub events_max: u32,
    /// Storage quota of each deployment.
    pub quotas: Quotas,
    /// The log filter.
    pub log: String,
    /// Whether the log is JSON.
    pub log_json: bool,
    /// The origins that modules may reach.
    pub egress: EgressPolicy,
    /// The folder of PayPal's certificates; `None` to fetch them.
    pub paypal_certs: Option<PathBuf>,
    /// The rules, channels and routes of alerts.
    pub alerts: Option<AlertFile>,
    /// The limits on what deployments may be granted and use.
    pub policy: Option<PolicyFile>,
    /// Extra currency units.
    pub units: Vec<(String, u8)>,
    /// The folder of zone data; `None` for the system's.
    pub zoneinfo: Option<PathBuf>,
    /// Every value with its origin.
    pub shown: Vec<DisplayedSetting>,
}

/// A token. Its debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Returns the text that a request carries.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

struct SettingLayers<'a> {
    flags: BTreeMap<&'static str, &'a str>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: BTreeMap<String, String>,
    path: PathBuf,
}

impl SettingLayers<'_> {
    fn value(&self, spec: &SettingSpec) -> (String, ValueOrigin) {
        if let Some(value) = self.flags.get(spec.key) {
            return ((*value).to_owned(), ValueOrigin::Flag(format!("--{}", spec.key)));
        }
        let variable = spec.variable();
        if let Some(value) = (self.environment)(&variable).filter(|value| !value.is_empty()) {
            return (value, ValueOrigin::Environment(variable));
        }
        match self.file.get(&spec.key.replace('-', "_")) {
            Some(value) => (value.clone(), ValueOrigin::File(self.path.clone())),
            None => (spec.default.to_owned(), ValueOrigin::Default),
        }
    }
}

impl Settings {
    /// Reads all four layers. `token_file` is the flag that clients share.
    ///
    /// # Errors
    /// The first value that is not valid, with its origin.
    pub fn read(
        flags: &SettingFlags,
        token_file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CliError> {
        let path = flags.config.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let file = if flags.config.is_some() || path.exists() { read_file(&path)? } else { BTreeMap::new() };
        let token_file = token_file.map(|file| file.to_string_lossy().into_owned());
        let mut flags: BTreeMap<_, _> = flags.values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        flags.extend(token_file.as_deref().map(|file| ("token-file", file)));
        Self::check(&SettingLayers { flags, environment, file, path })
    }

    fn check(layers: &SettingLayers<'_>) -> Result<Self, CliError> {
        let values: BTreeMap<_, _> = SPECS.iter().map(|spec| (spec.key, layers.value(spec))).collect();
        let shown = SPECS
            .iter()
            .map(|spec| {
                let (value, origin) = &values[spec.key];
                let value = match spec.key {
                    "token" | "master-key" | "master-key-old" if !value.is_empty() => "(hidden)".to_owned(),
                    // Its arguments may name what only the host should know.
                    "master-key-command" | "master-key-old-command" => {
                        value.split_ascii_whitespace().next().unwrap_or_default().to_owned()
                    }
                    _ => value.clone(),
                };
                DisplayedSetting { setting: spec.key, value, origin: origin.to_string() }
            })
            .collect();
        let take = |key: &'static str| SettingValue { key, text: &values[key].0, origin: &values[key].1 };
        let (allow_private, private) = match values["egress-private"].0.as_str() {
            "all" => (true, Vec::new()),
            _ => (false, take("egress-private").list()?),
        };
        Ok(Self {
            addr: take("addr").parsed("write an address and a port, such as 127.0.0.1:7077")?,
            data: PathBuf::from(take("data").text),
            token: token(&take("token"), &take("token-file"))?,
            master_key: MasterKeySettings {
                current: master_key(&take("master-key"), &take("master-key-file"), &take("master-key-command"))?,
                old: master_key(
                    &take("master-key-old"),
                    &take("master-key-old-file"),
                    &take("master-key-old-command"),
                )?,
            }
            .checked()?,
            node: take("node").parsed("choose a name of lower-case letters, digits and hyphens")?,
            concurrency: take("concurrency").within(1, 10_000)?,
            memory_max: take("memory-max").memory()?,
            shutdown: take("shutdown").duration()?,
            scrub_every: take("scrub-every").interval()?,
            keep_waiting: take("keep-waiting").duration()?,
            findings_degrade_health: match take("findings").text {
                "report" => false,
                "degrade" => true,
                _ => return Err(take("findings").wrong("write report or degrade")),
            },
            healing: take("healing").text.parse().map_err(|_| take("healing").wrong("write act, advise or off"))?,
            retention: take("retention").interval()?,
            event_retention: take("event-retention").interval()?,
            events_max: take("events-max").within(1, 1_000_000_000)?,
            quotas: Quotas::parse(take("quotas").text).map_err(|bad| take("quotas").wrong(&bad.to_string()))?,
            log: take("log").text.to_owned(),
            log_json: match take("log-format").text {
                "json" => true,
                "text" => false,
                _ => return Err(take("log-format").wrong("write text or json")),
            },
            egress: EgressPolicy {
                allow_private,
                allow: take("egress-allow").list()?,
                deny: take("egress-deny").list()?,
                private,
                roots: take("egress-roots").roots()?,
            },
            paypal_certs: take("paypal-certs").folder()?,
            alerts: take("alerts").alerts()?,
            policy: take("policy").policy()?,
            units: take("units").units()?,
            zoneinfo: take("zoneinfo").zoneinfo()?,
            shown,
        })
    }

    /// Refuses to listen on other addresses than loopback without a token.
    ///
    /// # Errors
    /// Wrong usage, with the command that makes a token.
    pub fn require_token_if_exposed(&self) -> Result<(), CliError> {
        if self.token.is_some() || self.addr.ip().is_loopback() {
            return Ok(());
        }
        Err(CliError::usage(
            format!("{} can be reached from other machines, and there is no token", self.addr),
            "make one with `openssl rand -hex 32 > token` and start with `--token-file token` (or TIDEMILL_TOKEN), \
             or listen on 127.0.0.1",
        ))
    }
}

/// One value and its origin, not yet checked.
struct SettingValue<'a> {
    key: &'static str,
    text: &'a str,
    origin: &'a ValueOrigin,
}

impl SettingValue<'_> {
    /// Returns the name of the setting in the settings file.
    fn setting(&self) -> String {
        self.key.replace('-', "_")
    }

    fn wrong(&self, fix: &str) -> CliError {
        CliError::usage(format!("{}: `{}` (from {}) cannot be used", self.key, self.text, self.origin), fix)
    }

    fn parsed<T: FromStr>(&self, fix: &str) -> Result<T, CliError> {
        self.text.parse().map_err(|_| self.wrong(fix))
    }

    fn within(&self, least: u32, most: u32) -> Result<u32, CliError> {
        let fix = format!("write a whole number from {least} to {most}");
        self.parsed(&fix)
            .and_then(|number| if (least..=most).contains(&number) { Ok(number) } else { Err(self.wrong(&fix)) })
    }

    fn memory(&self) -> Result<u64, CliError> {
        let parsed = self.text.parse::<bytesize::ByteSize>().ok().map(|size| size.0);
        let parsed = parsed.filter(|bytes| (1 << 20..=4 << 30).contains(bytes));
        parsed.ok_or_else(|| self.wrong("write a size from 1MiB to 4GiB"))
    }

    fn zoneinfo(&self) -> Result<Option<PathBuf>, CliError> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let dir = PathBuf::from(self.text);
        match ZoneDirectory::open(&dir) {
            Ok(_) => Ok(Some(dir)),
            Err(why) => Err(self.wrong(&format!("name a folder such as /usr/share/zoneinfo: {why}"))),
        }
    }

    fn folder(&self) -> Result<Option<PathBuf>, CliError> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let dir = PathBuf::from(self.text);
        if dir.is_dir() { Ok(Some(dir)) } else { Err(self.wrong("name a folder that exists")) }
    }

    fn duration(&self) -> Result<Duration, CliError> {
        let parsed = tidemill_core::wire::parse_span(self.text).ok().filter(|it| *it <= Duration::from_secs(3600));
        parsed.ok_or_else(|| self.wrong("write a time of at most 1h, such as 25s"))
    }

    /// Parses an interval, or `never` as `None`.
    fn interval(&self) -> Result<Option<Duration>, CliError> {
        if matches!(self.text, "never" | "0") {
            return Ok(None);
        }
        let bounds = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);
        let parsed = tidemill_core::wire::parse_span(self.text).ok().filter(|it| bounds.contains(it));
        parsed.map(Some).ok_or_else(|| self.wrong("write a time from 1m to 366d, such as 12h, or never"))
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    fn list(&self) -> Result<Vec<OriginPattern>, CliError> {
        self.parts().map(|part| part.parse().map_err(|bad: InvalidName| self.wrong(&bad.to_string()))).collect()
    }

    fn roots(&self) -> Result<Roots, CliError> {
        if self.text.is_empty() {
            return Ok(Roots::default());
        }
        let read = |path: &Path| -> Result<Roots, Box<dyn std::error::Error>> {
            let mut pem = Vec::new();
            std::fs::File::open(path)?.take(ROOTS_BYTES + 1).read_to_end(&mut pem)?;
            Ok(Roots::from_pem(&pem)?)
        };
        read(Path::new(self.text)).map_err(|why| {
            self.wrong(&format!("name a PEM file with the certificates of authorities, of at most 1 MiB ({why})"))
        })
    }

    fn alerts(&self) -> Result<Option<AlertFile>, CliError> {
        if self.text.is_empty() { Ok(None) } else { AlertFile::read(Path::new(self.text)).map(Some) }
    }

    fn policy(&self) -> Result<Option<PolicyFile>, CliError> {
        if self.text.is_empty() { Ok(None) } else { PolicyFile::read(Path::new(self.text)).map(Some) }
    }

    fn units(&self) -> Result<Vec<(String, u8)>, CliError> {
        let fix = "write a name of 2 to 12 capitals and digits, and how many digits follow the point: BTC:8,POINTS:0";
        let one = |part: &str| {
            let (name, exponent) = part.split_once(':')?;
            let good =
                (2..=12).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            let exponent = exponent.parse().ok().filter(|exponent| *exponent <= 18)?;
            good.then(|| (name.to_owned(), exponent))
        };
        self.parts().map(|part| one(part).ok_or_else(|| self.wrong(fix))).collect()
    }
}

/// Returns the source of a master key. There may be one.
fn master_key(
    value: &SettingValue<'_>,
    file: &SettingValue<'_>,
    command: &SettingValue<'_>,
) -> Result<Option<MasterKeySource>, CliError> {
    if matches!(value.origin, ValueOrigin::File(_)) {
        return Err(CliError::usage(
            format!("{} holds a master key itself", value.origin),
            format!("keep it in a separate file that only the host can read, and write {} = \"…\"", file.setting()),
        ));
    }
    let sources = [
        (value, (!value.text.is_empty()).then(|| MasterKeySource::Value(value.text.to_owned().into()))),
        (file, (!file.text.is_empty()).then(|| MasterKeySource::File(PathBuf::from(file.text)))),
        (
            command,
            (!command.text.is_empty())
                .then(|| MasterKeySource::Command(command.text.split_ascii_whitespace().map(str::to_owned).collect())),
        ),
    ];
    let mut given = sources.into_iter().filter_map(|(setting, source)| Some((setting, source?)));
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some((_, source)), None) => Ok(Some(source)),
        (Some((one, _)), Some((two, _))) => Err(CliError::usage(
            format!("both {} (from {}) and {} (from {}) are set", one.key, one.origin, two.key, two.origin),
            "set one of them",
        )),
    }
}

/// Returns the token, or the contents of its file. A flag's file overrides the environment's token.
fn token(token: &SettingValue<'_>, file: &SettingValue<'_>) -> Result<Option<Token>, CliError> {
    if matches!(token.origin, ValueOrigin::File(_)) {
        return Err(CliError::usage(
            format!("{} holds the token itself", token.origin),
            "keep it in a separate file that only the host can read, and write token_file = \"…\"",
        ));
    }
    let from_file = !file.text.is_empty() && (matches!(file.origin, ValueOrigin::Flag(_)) || token.text.is_empty());
    let text = match (from_file, token.text) {
        (true, _) => read_token(Path::new(file.text))?,
        (false, "") => return Ok(None),
        (false, text) => text.to_owned(),
    };
    let good = text.len() >= TOKEN_BYTES && text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic());
    if good {
        Ok(Some(Token(text)))
    } else {
        Err(CliError::usage(
            format!("the token is not {TOKEN_BYTES} to 512 visible ASCII characters"),
            "make one with `openssl rand -hex 32`",
        ))
    }
}

/// Returns the file's values as text. A list becomes text separated by commas.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, CliError> {
    let bad = |why: String, fix: &str| CliError::usage(format!("{}: {why}", path.display()), fix);
    let unread = |cause: std::io::Error| bad(cause.to_string(), "name an existing file, or omit --config");
    if std::fs::metadata(path).map_err(unread)?.len() > FILE_BYTES {
        return Err(bad(format!("longer than {FILE_BYTES} bytes"), "keep the settings only"));
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    parse_file(&text).map_err(|(why, fix)| bad(why, &fix))
}

fn parse_file(text: &str) -> Result<BTreeMap<String, String>, (String, String)> {
    let table: toml::Table =
        toml::from_str(text).map_err(|error| (error.message().to_owned(), "correct it; it is TOML".to_owned()))?;
    let known: Vec<String> = SPECS.iter().map(|spec| spec.key.replace('-', "_")).collect();
    let mut values = BTreeMap::new();
    for (name, value) in table {
        if !known.contains(&name) {
            let near =
                known.iter().max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)));
            let fix = near.map_or_else(String::new, |near| {
                format!("did you mean `{near}`? The settings are {}", known.join(", "))
            });
            return Err((format!("there is no setting `{}`", crate::printer::clean(&name)), fix));
        }
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => Some(text.clone()),
            toml::Value::Integer(number) => Some(number.to_string()),
            _ => None,
        };
        let read = match &value {
            toml::Value::Array(items) => {
                items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| items.join(","))
            }
            other => text(other),
        };
        let read = read.ok_or_else(|| {
            (format!("`{name}` is neither text, nor a number, nor a list of them"), "write it as text".to_owned())
        })?;
        values.insert(name, read);
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
