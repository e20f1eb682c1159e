//! `tidemill doctor`: checks this machine and its host, and lists a fix for each problem.

use std::path::Path;

use serde::Serialize;
use tidemill_api_types::Health;
use tidemill_control::ZoneReport;
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_vault::KeyId;

use super::files::{self, ExposedPath, FILES_ENOUGH, OpenFiles};
use super::settings::{SettingFlags, Settings};
use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};

/// Arguments of `tidemill doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Check only whether the host is ready; for a container's health check
    #[arg(long)]
    quick: bool,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Diagnosis {
    what: &'static str,
    good: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Row for Diagnosis {
    const HEADS: &'static [&'static str] = &["", "WHAT", "FOUND", "WHAT TO DO"];
    fn cells(&self) -> Vec<String> {
        let mark = if self.good { "ok" } else { "!!" };
        vec![mark.to_owned(), self.what.to_owned(), self.found.clone(), self.fix.clone().unwrap_or_default()]
    }
}

/// Runs the command. Exit code 3 if no host answers, 1 if a check failed.
pub async fn run(
    args: &DoctorArgs,
    token_file: Option<&Path>,
    client: &Client,
    printer: &Printer,
) -> Result<(), CliError> {
    let ready = client.answers("/readyz").await;
    if args.quick {
        let answer = ready?;
        return if answer.status.is_success() {
            printer.line("ready");
            Ok(())
        } else {
            Err(CliError::failed(format!("the host is not ready: {}", String::from_utf8_lossy(&answer.body).trim())))
        };
    }
    let mut findings = vec![cores(), memory(), open_files(), compiler(), target(), zones()];
    findings.extend(private(token_file));
    let settings = Settings::read(&SettingFlags::default(), None, &|name: &str| std::env::var(name).ok());
    findings.extend(policy(settings.as_ref()));
    findings.extend(settings.as_ref().ok().and_then(alerts));
    if let Ok(settings) = &settings {
        findings.extend(master_key(settings).await);
    }
    let mut unreachable = None;
    match ready {
        Ok(answer) => {
            let good = answer.status.is_success();
            let found = if good {
                format!("{} is ready", client.url())
            } else {
                String::from_utf8_lossy(&answer.body).trim().to_owned()
            };
            findings.push(Diagnosis {
                what: "host",
                good,
                found,
                fix: (!good).then(|| "see the host's log".to_owned()),
            });
            findings.push(token(client).await);
            findings.extend(warnings(client).await);
        }
        Err(error) => {
            let fix = Some("start one with `tidemill serve` or `tidemill dev`, or set TIDEMILL_URL".to_owned());
            findings.push(Diagnosis { what: "host", good: false, found: error.to_string(), fix });
            unreachable = Some(error);
        }
    }
    printer.rows(&findings, "");
    match (unreachable, findings.iter().filter(|finding| !finding.good).count()) {
        (Some(error), _) => Err(error),
        (None, 0) => Ok(()),
        (None, failed) => Err(CliError::failed(format!("{failed} of {} checks failed", findings.len()))),
    }
}

fn cores() -> Diagnosis {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Diagnosis { what: "processors", good: true, found: count.to_string(), fix: None }
}

/// Checks the limit of address space: the pool reserves address space for every instance.
fn memory() -> Diagnosis {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max address space")).unwrap_or_default();
    let limit = line.split_whitespace().nth(3).unwrap_or("unknown");
    let good = limit == "unlimited" || limit == "unknown";
    let fix = (!good)
        .then_some("raise it (`ulimit -v unlimited`): with less, instances are created on demand, which is slower");
    Diagnosis { what: "address space", good, found: limit.to_owned(), fix: fix.map(str::to_owned) }
}

/// Checks the limit of open files. The host raises the soft limit by itself.
fn open_files() -> Diagnosis {
    let limits = OpenFiles::limits();
    let good = limits.hard >= FILES_ENOUGH;
    let fix = (!good).then(|| {
        format!(
            "raise the hard limit to {FILES_ENOUGH} (LimitNOFILE= of systemd, `--ulimit nofile=` of Docker): a host that is \
             started like this takes at most {} connections",
            limits.max_connections_at_start()
        )
    });
    Diagnosis { what: "open files", good, found: format!("{}, at most {}", limits.soft, limits.hard), fix }
}

/// Checks which other users may read the data folder, if it is on this machine, and the token.
fn private(token_file: Option<&Path>) -> Vec<Diagnosis> {
    let data = std::env::var("TIDEMILL_DATA").unwrap_or_else(|_| "./tidemill-data".to_owned());
    let files = files::exposed(Path::new(&data), token_file).into_iter();
    let finding = |ExposedPath { path, mode, fix }| Diagnosis {
        what: "permissions",
        good: false,
        found: format!("{} has {mode}: other users may read it", path.display()),
        fix: Some(fix),
    };
    files.map(finding).collect()
}

/// Checks the zone data that a host started here would find.
fn zones() -> Diagnosis {
    let ZoneReport { release, place, warnings } = ZoneReport::of(SystemClock.now());
    let fix = (!warnings.is_empty())
        .then(|| "update the package `tzdata`, or name a newer folder with --zoneinfo".to_owned());
    let found = [vec![format!("{release} ({place})")], warnings].concat().join("; ");
    Diagnosis { what: "zone data", good: true, found, fix }
}

/// Lists what is wrong with a host that is ready, and its warnings.
async fn warnings(client: &Client) -> Vec<Diagnosis> {
    let Ok(health) = client.get::<Health<'static>>("/v1/health").await else { return Vec::new() };
    let finding = |warning: &String| Diagnosis {
        what: "host",
        good: true,
        found: clean(warning),
        fix: Some("see docs: Running a host".to_owned()),
    };
    let fault = |reason: &String| Diagnosis {
        what: "host",
        good: false,
        found: clean(reason),
        fix: Some("see docs: Running a host".to_owned()),
    };
    health.reasons.iter().map(fault).chain(health.warnings.iter().map(finding)).collect()
}

/// Checks the policy that a host started here would load, if it has one.
fn policy(settings: Result<&Settings, &CliError>) -> Option<Diagnosis> {
    match settings {
        Ok(settings) => settings.policy.as_ref().map(|file| Diagnosis {
            what: "policy",
            good: true,
            found: format!("{} is valid", file.path.display()),
            fix: None,
        }),
        Err(error) => Some(Diagnosis {
            what: "settings",
            good: false,
            found: error.to_string(),
            fix: Some("correct the setting or the file; `tidemill serve --print-config` shows them".to_owned()),
        }),
    }
}

/// Checks the alerts that a host started here would load, if it has some.
fn alerts(settings: &Settings) -> Option<Diagnosis> {
    settings.alerts.as_ref().map(|file| Diagnosis {
        what: "alerts",
        good: true,
        found: format!("{} is valid", file.path.display()),
        fix: None,
    })
}

/// Checks that the master key of a host started here can be read. The host itself checks that it is
/// the key of the data folder.
async fn master_key(settings: &Settings) -> Option<Diagnosis> {
    settings.master_key.current.as_ref()?;
    Some(match settings.master_key.read().await {
        Ok(vault) => {
            let id = |key: Option<KeyId>| key.map(|key| key.to_string());
            let old = id(vault.old_key()).map_or_else(String::new, |old| format!(", old key {old}"));
            let found = format!("key {}{old}", id(vault.current_key()).unwrap_or_default());
            Diagnosis { what: "master key", good: true, found, fix: None }
        }
        Err(error) => Diagnosis {
            what: "master key",
            good: false,
            found: error.to_string(),
            fix: Some("`tidemill explain host/master-key` lists the causes".to_owned()),
        },
    })
}

fn compiler() -> Diagnosis {
    let version = output("rustc", &["--version"]);
    let fix = version.is_none().then_some("to write modules in Rust, install it: https://rustup.rs");
    let found = version.unwrap_or_else(|| "not installed".to_owned());
    Diagnosis { what: "rust", good: true, found, fix: fix.map(str::to_owned) }
}

fn target() -> Diagnosis {
    let root = output("rustc", &["--print", "sysroot"]).unwrap_or_default();
    let there = !root.is_empty() && Path::new(&root).join("lib/rustlib/wasm32-wasip2/lib").is_dir();
    let found = if there { "installed" } else { "not installed" };
    let fix = (!there).then_some("to write modules in Rust: rustup target add wasm32-wasip2");
    Diagnosis { what: "wasm32-wasip2", good: true, found: found.to_owned(), fix: fix.map(str::to_owned) }
}

async fn token(client: &Client) -> Diagnosis {
    let (good, found) = match client.answers("/v1/deployments?limit=1").await {
        Ok(answer) if answer.status.is_success() => (true, "accepted".to_owned()),
        Ok(answer) => (false, format!("the host answered {}", answer.status)),
        Err(error) => (false, error.to_string()),
    };
    let fix = (!good).then(|| "give the host's token: TIDEMILL_TOKEN, or --token-file".to_owned());
    Diagnosis { what: "token", good, found, fix }
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).env("RUSTUP_AUTO_INSTALL", "0").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
