//! Reads the operator's configuration of alerts field by field, and reports all of its problems.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::channel::{ChannelSpec, EmailSpec, EmailTls};
use super::config::{ALERT_CONFIG_BYTES, AlertConfig, CHANNELS, NotificationRoute, RULES};
use super::rule::{AlertCondition, AlertRule, VITALS};
use super::{AlertSeverity, BurnSpeed};
use crate::health::{HealthStatus, SignalKind};
use crate::ids::{AlertRuleName, ChannelName, InvalidName};
use crate::origin::Origin;
use crate::policy::pattern;
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// Least and greatest time between two announcements of the same alert, in milliseconds.
const REPEAT: RangeInclusive<u64> = 5 * MINUTE..=30 * DAY;
/// Least and greatest time after which a notification is given up, in milliseconds.
const GIVE_UP: RangeInclusive<u64> = 10 * MINUTE..=7 * DAY;
/// Least and greatest time before an escalation, in milliseconds.
const ESCALATE: RangeInclusive<u64> = MINUTE..=7 * DAY;
/// Least and greatest time that a condition must hold, or must not hold, in milliseconds.
const DURATION: RangeInclusive<u64> = 0..=7 * DAY;
/// Maximum number of deployments or labels of a rule.
const ENTRIES: usize = 32;
/// Maximum number of receivers of an e-mail.
const RECEIVERS: usize = 20;
/// Maximum length of an address of e-mail, in bytes (RFC 5321).
const ADDRESS_BYTES: usize = 254;
/// Maximum length of a host name, in bytes.
const HOST_BYTES: usize = 253;
/// Maximum length of a URL, in bytes.
const URL_BYTES: usize = 2_048;
/// Maximum length of a label's value or of a user's name, in bytes.
const TEXT_BYTES: usize = 255;

impl AlertConfig {
    /// Reads a configuration in TOML.
    ///
    /// # Errors
    /// All problems of the file; only the first one if it is not TOML.
    pub fn parse_toml(text: &str) -> Result<Self, Vec<InputProblem>> {
        if text.len() > ALERT_CONFIG_BYTES {
            let message = format!("{} bytes; a configuration holds at most {ALERT_CONFIG_BYTES}", text.len());
            return Err(vec![InputProblem::field("", message, "Name deployments by the beginning of their names.")]);
        }
        let fields: Map<String, Value> = toml::from_str(text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            vec![InputProblem::field("", format!("line {line}: {}", error.message()), "Correct that line; it is TOML.")]
        })?;
        let mut problems = Vec::new();
        let config = config(ObjectReader::new(String::new(), fields), &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

fn config(mut object: ObjectReader, problems: &mut Vec<InputProblem>) -> AlertConfig {
    let mut config = AlertConfig::default();
    let repeat = object.take("repeat").and_then(|field| field.duration(REPEAT, problems));
    config.repeat_millis = repeat.unwrap_or(config.repeat_millis);
    let give_up = object.take("give_up").and_then(|field| field.duration(GIVE_UP, problems));
    config.give_up_millis = give_up.unwrap_or(config.give_up_millis);
    // A route that names a channel with a problem has no problem of its own.
    let mut known = BTreeSet::new();
    for (name, field) in named::<ChannelName>(object.take("channels"), CHANNELS, problems) {
        known.insert(name.clone());
        config.channels.extend(channel(field, problems).map(|channel| (name, channel)));
    }
    if let Some(mut routes) = object.take("routes").and_then(|field| field.object(problems)) {
        let mut take = |severity: &'static str, problems: &mut Vec<InputProblem>| {
            routes.take(severity).map(|field| route(field, &known, problems)).unwrap_or_default()
        };
        let (page, ticket) = (take("page", problems), take("ticket", problems));
        routes.finish(problems);
        (config.page, config.ticket) = (page, ticket);
    }
    for (name, field) in named::<AlertRuleName>(object.take("rules"), RULES - config.rules.len(), problems) {
        let before = config.rules.remove(&name);
        if let Some(rule) = rule(name, before, field, problems) {
            config.rules.insert(rule.name.clone(), rule);
        }
    }
    object.finish(problems);
    config
}

/// Reads an object whose names the operator chooses.
fn named<N: std::str::FromStr<Err = InvalidName>>(
    field: Option<ObjectField>,
    most: usize,
    problems: &mut Vec<InputProblem>,
) -> Vec<(N, ObjectField)> {
    let Some(field) = field else { return Vec::new() };
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return Vec::new() };
    let all = object.take_all();
    if all.len() > most {
        let message = format!("{} entries; at most {most} are allowed", all.len());
        problems.push(InputProblem::field(pointer, message, "Remove some."));
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, field) in all {
        match name.parse() {
            Ok(name) => found.push((name, field)),
            Err(InvalidName { kind, rule }) => {
                let message = format!("`{}` is not a {kind}", shown(&name));
                problems.push(InputProblem::field(field.pointer, message, format!("A {kind} is {rule}.")));
            }
        }
    }
    found
}

fn channel(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<ChannelSpec> {
    const KIND: &str = "Write \"slack\", \"webhook\", \"email\" or \"workflow\".";
    let before = problems.len();
    let mut object = field.object(problems)?;
    let kinds = ChannelSpec::KINDS.map(|kind| (kind, kind));
    let kind = object.require("kind", KIND, problems)?.choice(&kinds, problems)?;
    let channel = match kind {
        "slack" => {
            let url = object.require("url_secret", "Name the secret of the host that holds the URL.", problems);
            url.and_then(|field| field.parse(problems)).map(|url_secret| ChannelSpec::Slack { url_secret })
        }
        "webhook" => {
            let url = object.require("url", "Write the URL, such as \"https://alerts.example.com/hook\".", problems);
            let url = url.and_then(|field| url_of(field, problems));
            let secret = object.require("secret", "Name the secret of the host that holds the key.", problems);
            let secret = secret.and_then(|field| field.parse(problems));
            url.zip(secret).map(|(url, secret)| ChannelSpec::Webhook { url, secret })
        }
        "email" => email(&mut object, problems).map(ChannelSpec::Email),
        _ => {
            let deployment = object.require("deployment", "Name the deployment that receives the alert.", problems);
            let deployment = deployment.and_then(|field| field.parse(problems));
            deployment.map(|deployment| ChannelSpec::Workflow { deployment })
        }
    };
    object.finish(problems);
    channel.filter(|_| problems.len() == before)
}

fn url_of(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<String> {
    let pointer = field.pointer.clone();
    let url = field.text(URL_BYTES, problems)?;
    let is_plain = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains('#');
    if is_plain && Origin::of_url(&url).is_ok() {
        return Some(url);
    }
    let message = format!("`{}` is not a URL that the host can send to", shown(&url));
    let fix = "Write an http or https URL without a user name and a fragment.";
    problems.push(InputProblem::field(pointer, message, fix));
    None
}

fn email(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<EmailSpec> {
    let host = object.require("host", "Write the host name of the mail server.", problems);
    let host = host.and_then(|field| {
        let pointer = field.pointer.clone();
        let host = field.text(HOST_BYTES, problems)?;
        if Origin::of_url(&format!("https://{host}")).is_ok_and(|origin| origin.port() == 443) {
            return Some(host);
        }
        let message = format!("`{}` is not a host name", shown(&host));
        problems.push(InputProblem::field(pointer, message, "Write a name or an address, without a port."));
        None
    });
    let choices = EmailTls::ALL.map(|tls| (tls.as_str(), tls));
    let tls = object.take("tls").map_or(Some(EmailTls::Implicit), |field| field.choice(&choices, problems));
    let port = object.take("port").and_then(|field| field.number(1..=65_535, problems));
    let from = object.require("from", "Write the address of the sender.", problems);
    let from = from.and_then(|field| address(field, problems));
    let to = object.require("to", "Write one address or several.", problems);
    let to: Vec<_> = to.and_then(|field| field.one_or_many(RECEIVERS, problems)).unwrap_or_default();
    let pointer = object.pointer_to("to");
    let to: Vec<_> = to.into_iter().filter_map(|field| address(field, problems)).collect();
    if to.is_empty() && !problems.iter().any(|problem| problem.pointer.starts_with(&pointer)) {
        problems.push(InputProblem::field(pointer, "there is no receiver", "Write one address or several."));
    }
    let user = object.take("user").and_then(|field| field.text(TEXT_BYTES, problems));
    let password = object.take("password_secret").and_then(|field| field.parse(problems));
    if user.is_some() != password.is_some() {
        let pointer = object.pointer_to(if user.is_some() { "password_secret" } else { "user" });
        let fix = "Give both `user` and `password_secret`, or neither.";
        problems.push(InputProblem::field(pointer, "a login has a user and the name of a secret", fix));
    }
    let tls = tls?;
    if tls == EmailTls::None && user.is_some() {
        let fix = "Remove `user` and `password_secret`, or use TLS.";
        let pointer = object.pointer_to("tls");
        problems.push(InputProblem::field(pointer, "a password is not sent in clear text", fix));
    }
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(tls.default_port());
    Some(EmailSpec { host: host?, port, tls, from: from?, to, login: user.zip(password) })
}

/// Reads an address of e-mail without a display name. The mail server decides whether it exists.
fn address(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<String> {
    let pointer = field.pointer.clone();
    let address = field.text(ADDRESS_BYTES, problems)?;
    let is_plain = address.bytes().all(|b| b.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&b));
    let parts = address.split_once('@').filter(|(user, host)| !user.is_empty() && !host.contains('@'));
    if is_plain && parts.is_some_and(|(_, host)| Origin::of_url(&format!("https://{host}")).is_ok()) {
        return Some(address);
    }
    let message = format!("`{}` is not an address", shown(&address));
    problems.push(InputProblem::field(pointer, message, "Write an address such as \"ops@example.com\"."));
    None
}

fn route(field: ObjectField, known: &BTreeSet<ChannelName>, problems: &mut Vec<InputProblem>) -> NotificationRoute {
    let mut route = NotificationRoute::default();
    let Some(mut object) = field.object(problems) else { return route };
    route.channels = channel_names(object.take("channels"), known, problems);
    let escalation = object.take("escalation");
    let pointer = object.pointer_to("escalation");
    route.escalation = channel_names(escalation, known, problems);
    if !route.escalation.is_empty() && route.channels.is_empty() {
        let fix = "Name the channels that know of an alert at once in `channels`.";
        problems.push(InputProblem::field(pointer, "there is nothing to escalate from", fix));
    }
    let after = object.take("escalate_after").and_then(|field| field.duration(ESCALATE, problems));
    route.escalate_after_millis = after.unwrap_or(route.escalate_after_millis);
    object.finish(problems);
    route
}

fn channel_names(
    field: Option<ObjectField>,
    known: &BTreeSet<ChannelName>,
    problems: &mut Vec<InputProblem>,
) -> Vec<ChannelName> {
    let mut names: Vec<ChannelName> = Vec::new();
    for field in field.and_then(|field| field.one_or_many(CHANNELS, problems)).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(name) = field.parse::<ChannelName>(problems) else { continue };
        if !known.contains(&name) {
            let fix = format!("Add `[channels.{name}]`, or name another channel.");
            problems.push(InputProblem::field(pointer, format!("there is no channel `{name}`"), fix));
        } else if names.contains(&name) {
            let message = format!("the channel `{name}` is named twice");
            problems.push(InputProblem::field(pointer, message, "Name it once."));
        } else {
            names.push(name);
        }
    }
    names
}

/// Reads a rule. The fields of a rule with that name, if there is one, are the defaults.
fn rule(
    name: AlertRuleName,
    before: Option<AlertRule>,
    field: ObjectField,
    problems: &mut Vec<InputProblem>,
) -> Option<AlertRule> {
    let pointer = field.pointer.clone();
    let mut object = field.object(problems)?;
    let mut conditions = conditions(&mut object, problems);
    let mut rule = match (conditions.pop(), before) {
        (Some(condition), Some(before)) if condition == before.condition => before,
        (Some(condition), Some(before)) => AlertRule { severity: before.severity, ..AlertRule::new(name, condition) },
        (Some(condition), None) => AlertRule::new(name, condition),
        (None, Some(before)) => before,
        (None, None) => {
            if !problems.iter().any(|problem| problem.pointer.starts_with(&pointer)) {
                problems.push(InputProblem::field(pointer, "the rule has no condition", CONDITION_FIX));
            }
            return None;
        }
    };
    if !conditions.is_empty() {
        problems.push(InputProblem::field(&pointer, "the rule has more than one condition", CONDITION_FIX));
    }
    if let Some(field) = object.take("enabled") {
        rule.enabled = field.boolean(problems).unwrap_or(true);
    }
    let severities = AlertSeverity::ALL.map(|severity| (severity.as_str(), severity));
    let severity = object.take("severity").and_then(|field| field.choice(&severities, problems));
    rule.severity = severity.unwrap_or(rule.severity);
    let duration = object.take("for").and_then(|field| field.duration(DURATION, problems));
    rule.duration_millis = duration.unwrap_or(rule.duration_millis);
    let quiet = object.take("resolve_after").and_then(|field| field.duration(DURATION, problems));
    rule.quiet_millis = quiet.unwrap_or(rule.quiet_millis);
    if let Some(field) = object.take("minimum_events") {
        let pointer = field.pointer.clone();
        if let Some(minimum) = field.number(1..=1_000_000_000, problems) {
            rule.minimum_events = minimum;
            if !rule.counts_events() {
                let message = "the condition counts no events";
                let fix = "Remove it; `slo`, `irregular-firings` and `dead-deliveries` count events.";
                problems.push(InputProblem::field(pointer, message, fix));
            }
        }
    }
    if let Some(field) = object.take("deployments") {
        let about_host = matches!(rule.condition, AlertCondition::Vital(_));
        let pointer = field.pointer.clone();
        let fields = field.one_or_many(ENTRIES, problems).unwrap_or_default();
        rule.deployments = fields.into_iter().filter_map(|field| pattern(field, problems)).collect();
        if about_host {
            let message = "a vital is one of the host, not of a deployment";
            problems.push(InputProblem::field(pointer, message, "Remove it."));
        }
    }
    if let Some(field) = object.take("labels") {
        rule.labels = labels(field, problems);
    }
    object.finish(problems);
    Some(rule)
}

const CONDITION_FIX: &str = "Give one of `health`, `signal`, `vital`, `slo` and `incident`.";

fn conditions(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Vec<AlertCondition> {
    let mut found = Vec::new();
    let statuses = [HealthStatus::Degraded, HealthStatus::Unhealthy].map(|status| (status.as_str(), status));
    let health = object.take("health").and_then(|field| field.choice(&statuses, problems));
    found.extend(health.map(AlertCondition::Health));
    let kinds = SignalKind::ALL.map(|kind| (kind.as_str(), kind));
    let signal = object.take("signal").and_then(|field| field.choice(&kinds, problems));
    found.extend(signal.map(AlertCondition::Signal));
    let mut vitals = vec![("any", None)];
    vitals.extend(VITALS.map(|vital| (vital, Some(vital))));
    let vital = object.take("vital").and_then(|field| field.choice(&vitals, problems));
    found.extend(vital.map(|vital| AlertCondition::Vital(vital.map(str::to_owned))));
    let speeds = [("fast-burn", BurnSpeed::Fast), ("slow-burn", BurnSpeed::Slow)];
    let speed = object.take("slo").and_then(|field| field.choice(&speeds, problems));
    found.extend(speed.map(AlertCondition::BurnRate));
    if let Some(field) = object.take("incident") {
        let pointer = field.pointer.clone();
        match field.boolean(problems) {
            Some(true) => found.push(AlertCondition::Incident),
            Some(false) => {
                let fix = "Write `incident = true`, or `enabled = false` for a rule that does not apply.";
                problems.push(InputProblem::field(pointer, "a condition is not false", fix));
            }
            None => {}
        }
    }
    found
}

fn labels(field: ObjectField, problems: &mut Vec<InputProblem>) -> Vec<(String, String)> {
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return Vec::new() };
    let fields = object.take_all();
    if fields.len() > ENTRIES {
        let message = format!("{} labels; at most {ENTRIES} are allowed", fields.len());
        problems.push(InputProblem::field(pointer, message, "Remove some."));
        return Vec::new();
    }
    let mut labels = Vec::new();
    for (name, field) in fields {
        let pointer = field.pointer.clone();
        let is_name =
            (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        let Some(text) = field.text(TEXT_BYTES, problems) else { continue };
        if !is_name || text.chars().any(char::is_control) {
            let message = format!("`{}` is not a label", shown(&name));
            let fix = "A label has a name of 1 to 63 letters, digits, dots, hyphens, slashes and underscores, and a \
                       value without control characters.";
            problems.push(InputProblem::field(pointer, message, fix));
        } else {
            labels.push((name, text));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = r#"
        repeat = "2h"
        give_up = "12h"
        [channels.team]
        kind = "slack"
        url_secret = "slack-url"
        [channels.pager]
        kind = "webhook"
        url = "https://pager.example.com/hook?x=1"
        secret = "pager-key"
        [channels.mail]
        kind = "email"
        host = "smtp.example.com"
        tls = "starttls"
        from = "tidemill@example.com"
        to = ["ops@example.com", "cto@example.com"]
        user = "tidemill"
        password_secret = "smtp-password"
        [channels.repair]
        kind = "workflow"
        deployment = "on-call"
        [routes.page]
        channels = ["team", "repair"]
        escalation = ["pager", "mail"]
        escalate_after = "10m"
        [routes.ticket]
        channels = "team"
        [rules.degraded]
        enabled = false
        [rules.unhealthy]
        for = "1m"
        resolve_after = "5m"
        deployments = ["shop", "team-*"]
        [rules.late]
        signal = "irregular-firings"
        minimum_events = 3
        severity = "page"
        labels = { team = "shop" }
    "#;

    #[test]
    fn a_whole_configuration_is_read() {
        let config = AlertConfig::parse_toml(CONFIG).unwrap();
        assert_eq!((config.repeat_millis, config.give_up_millis), (120 * MINUTE, 720 * MINUTE));
        let kinds: Vec<_> = config.channels.iter().map(|(name, spec)| format!("{name} {}", spec.kind())).collect();
        assert_eq!(kinds, ["mail email", "pager webhook", "repair workflow", "team slack"]);
        let ChannelSpec::Email(mail) = &config.channels["mail"] else { panic!("{config:?}") };
        assert_eq!((mail.port, mail.tls, mail.to.len()), (587, EmailTls::StartTls, 2));
        assert_eq!(config.page.escalation.len(), 2);
        assert_eq!(config.page.escalate_after_millis, 10 * MINUTE);
        assert_eq!(config.route(AlertSeverity::Ticket).channels.len(), 1);
        let rule = |name: &str| config.rules[name].clone();
        assert!(!rule("degraded").enabled);
        let unhealthy = rule("unhealthy");
        assert_eq!((unhealthy.duration_millis, unhealthy.quiet_millis), (MINUTE, 5 * MINUTE));
        assert_eq!(unhealthy.severity, AlertSeverity::Page, "fields that are left out have their defaults");
        let late = rule("late");
        assert_eq!(late.condition, AlertCondition::Signal(SignalKind::IrregularFirings));
        assert_eq!((late.minimum_events, late.labels), (3, vec![("team".to_owned(), "shop".to_owned())]));
        assert_eq!(AlertConfig::parse_toml("").unwrap(), AlertConfig::default());
    }

    #[test]
    fn every_problem_has_its_pointer_and_a_fix() {
        let text = r#"
            repeat = "1s"
            repaet = "1h"
            [channels.a]
            kind = "slack"
            url = "https://hooks.slack.com/x"
            [channels.b]
            kind = "webhook"
            url = "ftp://x"
            secret = "Not A Secret"
            [channels.c]
            kind = "email"
            host = "smtp.example.com:25"
            tls = "none"
            from = "me"
            to = []
            user = "me"
            [channels.d]
            kind = "carrier-pigeon"
            [channels.E]
            kind = "workflow"
            [routes.page]
            channels = ["nowhere", "a", "a"]
            [routes.ticket]
            escalation = ["a"]
            [rules.one]
            severity = "page"
            [rules.two]
            health = "healthy"
            [rules.three]
            health = "degraded"
            vital = "any"
            minimum_events = 3
            deployments = ["-"]
            [rules.four]
            incident = false
            [rules.five]
            signal = "speed"
            for = "1y"
        "#;
        let problems = AlertConfig::parse_toml(text).unwrap_err();
        let mut pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        pointers.sort_unstable();
        pointers.dedup();
        let expected = [
            "/channels/E",
            "/channels/a/url",
            "/channels/a/url_secret",
            "/channels/b/secret",
            "/channels/b/url",
            "/channels/c/from",
            "/channels/c/host",
            "/channels/c/password_secret",
            "/channels/c/tls",
            "/channels/c/to",
            "/channels/d/kind",
            "/repaet",
            "/repeat",
            "/routes/page/channels/0",
            "/routes/page/channels/2",
            "/routes/ticket/escalation",
            "/rules/five/signal",
            "/rules/four/incident",
            "/rules/one",
            "/rules/three",
            "/rules/three/deployments",
            "/rules/three/deployments/0",
            "/rules/three/minimum_events",
            "/rules/two/health",
        ];
        assert_eq!(pointers, expected, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
    }

    #[test]
    fn a_configuration_has_a_maximum_size_and_number_of_entries() {
        let large = format!("# {}", "x".repeat(ALERT_CONFIG_BYTES));
        assert_eq!(AlertConfig::parse_toml(&large).unwrap_err().len(), 1);
        let rules: String = (0..RULES).map(|n| format!("[rules.r{n}]\nincident = true\n")).collect();
        assert_eq!(AlertConfig::parse_toml(&rules).unwrap_err()[0].pointer, "/rules");
        let channels: String = (0..=CHANNELS).map(|n| format!("[channels.c{n}]\nkind = \"slack\"\n")).collect();
        assert_eq!(AlertConfig::parse_toml(&channels).unwrap_err()[0].pointer, "/channels");
        assert!(AlertConfig::parse_toml("x = [").unwrap_err()[0].message.starts_with("line 1"));
    }

    proptest! {
        #[test]
        fn texts_of_any_content_never_panic(text in "\\PC{0,80}", key in "[a-z_]{1,12}", value in "[a-z0-9\"\\[\\]{}=., ]{0,30}") {
            let _ = AlertConfig::parse_toml(&text);
            for section in ["", "[rules.x]\n", "[channels.x]\n", "[routes.page]\n"] {
                let _ = AlertConfig::parse_toml(&format!("{section}{key} = {value}"));
            }
        }
    }
}
