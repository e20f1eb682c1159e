//! Reads a manifest field by field and checks its bounds. [`Manifest`] documents the fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::grants::GRANTS;
use super::subscriptions::subscriptions;
use super::{CONCURRENCY_MAX, CONFIG_BYTES, Grants, HealthPolicy, LABELS, Manifest, SecretGrant, Source};
use crate::ids::{DeploymentName, Fuel};
use crate::limits::{KIB, Limits, MIB, OUTPUT_BYTES};
use crate::origin::HttpGrant;
use crate::retry::{ATTEMPTS_MAX, DELAY_MAX_MILLIS, ExhaustionPolicy, InvalidRetryPolicy, RetryPolicy, RunRetry};
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

const DAY: u64 = 24 * 3_600_000;

pub(super) fn manifest(mut object: ObjectReader, problems: &mut Vec<InputProblem>) -> Option<Manifest> {
    let name = object.take("name").and_then(|field| field.parse(problems));
    let source = source(&mut object, problems);
    // Continue with a placeholder if it is missing, so that the other fields are checked too.
    let stand_in = Source::Component(crate::ComponentDigest::from_bytes([0; 32]));
    let has_source = source.is_some();
    let mut manifest = Manifest { name, ..Manifest::new(source.unwrap_or(stand_in)) };

    if let Some(field) = object.take("enabled") {
        manifest.enabled = field.boolean(problems).unwrap_or(true);
    }
    let priority = object.take("priority").and_then(|field| field.number(1..=9, problems));
    manifest.priority = priority.and_then(|n| u8::try_from(n).ok()).unwrap_or(manifest.priority);
    let concurrency = object.take("concurrency").and_then(|field| field.number(1..=CONCURRENCY_MAX.into(), problems));
    manifest.concurrency = concurrency.and_then(|n| u32::try_from(n).ok()).unwrap_or(manifest.concurrency);
    manifest.flow = super::flow::read(&mut object, problems);
    if let Some(field) = object.take("labels") {
        manifest.labels = labels(field, problems);
    }
    if let Some(field) = object.take("config") {
        manifest.config = config(field, problems);
    }
    if let Some(field) = object.take("grants") {
        manifest.grants = grants(field, manifest.name.as_ref(), problems);
    }
    if let Some(field) = object.take("limits") {
        manifest.limits = limits(field, problems);
    }
    if let Some(field) = object.take("retry") {
        manifest.retry = retry(field, problems);
    }
    // `[[schedule]]` in TOML gives `schedule`; in JSON `schedules` reads better. Both are
    // accepted.
    let (one, many) = (object.take("schedule"), object.take("schedules"));
    #[cfg(feature = "host")]
    {
        manifest.schedules = super::schedules::schedules(one, many, problems);
    }
    #[cfg(not(feature = "host"))]
    drop((one, many));
    manifest.subscriptions = subscriptions(&mut object, problems);
    #[cfg(feature = "host")]
    {
        manifest.hooks = super::hooks::read(&mut object, &manifest.grants, problems);
    }
    #[cfg(not(feature = "host"))]
    drop((object.take("hook"), object.take("hooks")));
    #[cfg(feature = "host")]
    {
        manifest.budgets = super::budgets::read(&mut object, problems);
    }
    #[cfg(not(feature = "host"))]
    drop((object.take("budget"), object.take("budgets")));
    if let Some(field) = object.take("breaker") {
        manifest.breaker = super::breaker::read(field, problems);
    }
    if let Some(field) = object.take("health") {
        manifest.health = health(field, problems);
    }
    let healing = object.take("healing");
    #[cfg(feature = "host")]
    {
        manifest.healing = healing.map_or_else(Default::default, |field| super::healing::read(field, problems));
    }
    #[cfg(not(feature = "host"))]
    drop(healing);
    if let Some(field) = object.take("slo") {
        manifest.slo = super::slo::read(field, &manifest.limits, problems);
    }
    if let Some(field) = object.take("ledger") {
        manifest.ledger = super::ledger::read(field, problems);
    }
    manifest.since = object.take("since").and_then(|field| field.time(problems));
    object.finish(problems);
    has_source.then_some(manifest)
}

fn source(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<Source> {
    const FIX: &str = "Give `module`, such as \"hello@0.1.0\", or `component`, such as \"sha256:…\".";
    let (module, component) = (object.take("module"), object.take("component"));
    match (module, component) {
        (Some(field), None) => field.parse(problems).map(Source::Module),
        (None, Some(field)) => field.parse(problems).map(Source::Component),
        (Some(_), Some(field)) => {
            problems.push(InputProblem::field(
                field.pointer,
                "both `module` and `component` are given",
                "Give one of them.",
            ));
            None
        }
        (None, None) => {
            problems.push(InputProblem::field(object.pointer_to("module"), "the component to run is missing", FIX));
            None
        }
    }
}

fn labels(field: ObjectField, problems: &mut Vec<InputProblem>) -> BTreeMap<String, String> {
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return BTreeMap::new() };
    let fields = object.take_all();
    if fields.len() > LABELS {
        let message = format!("{} labels; at most {LABELS} are allowed", fields.len());
        problems.push(InputProblem::field(pointer, message, "Remove some."));
        return BTreeMap::new();
    }
    let mut labels = BTreeMap::new();
    for (name, field) in fields {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        if name.is_empty() || name.len() > 63 || !name.bytes().all(known) {
            problems.push(InputProblem::field(
                field.pointer,
                format!("`{}` cannot name a label", shown(&name)),
                "Use 1 to 63 letters, digits, dots, hyphens, slashes and underscores.",
            ));
            continue;
        }
        let pointer = field.pointer.clone();
        if let Some(text) = field.text(255, problems) {
            if text.chars().any(char::is_control) {
                problems.push(InputProblem::field(pointer, "a label holds no control characters", "Remove them."));
            } else {
                labels.insert(name, text);
            }
        }
    }
    labels
}

fn config(field: ObjectField, problems: &mut Vec<InputProblem>) -> String {
    let text = field.value.to_string();
    if text.len() > CONFIG_BYTES {
        let message = format!("{} bytes of config; at most {CONFIG_BYTES} are allowed", text.len());
        problems.push(InputProblem::field(field.pointer, message, "Keep what is large in the deployment's state."));
    }
    text
}

fn grants(field: ObjectField, own: Option<&DeploymentName>, problems: &mut Vec<InputProblem>) -> Grants {
    let mut grants = Grants::default();
    let Some(mut object) = field.object(problems) else { return grants };
    grants.http = origins(object.take("http"), problems);
    for field in items(object.take("secrets"), problems) {
        let pointer = field.pointer.clone();
        if let Some(secret) = secret(field, problems) {
            if grants.secret(&secret.name).is_some() {
                let message = format!("the secret `{}` is granted twice", secret.name);
                problems.push(InputProblem::field(pointer, message, "Join the two, with all origins in one `to`."));
            }
            grants.secrets.push(secret);
        }
    }
    grants.ledger = object.take("ledger").and_then(|field| field.boolean(problems)).unwrap_or(false);
    grants.deployments =
        items(object.take("deployments"), problems).into_iter().filter_map(|field| field.parse(problems)).collect();
    grants.topics =
        items(object.take("topics"), problems).into_iter().filter_map(|field| field.parse(problems)).collect();
    grants.operator = object.take("operator").and_then(|field| super::operator::read(field, own, problems));
    object.finish(problems);
    grants
}

fn items(field: Option<ObjectField>, problems: &mut Vec<InputProblem>) -> Vec<ObjectField> {
    field.and_then(|field| field.list(GRANTS, problems)).unwrap_or_default()
}

fn origins(field: Option<ObjectField>, problems: &mut Vec<InputProblem>) -> Vec<HttpGrant> {
    let fields = field.and_then(|field| field.one_or_many(GRANTS, problems)).unwrap_or_default();
    fields.into_iter().filter_map(|field| field.parse(problems)).collect()
}

fn is_name(text: &str) -> bool {
    text.parse::<DeploymentName>().is_ok()
}

/// What a secret may be used for, other than in requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SecretUse {
    Sign,
    Hook,
}

fn secret(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<SecretGrant> {
    const FIX: &str = "Write { name = \"stripe-key\", to = [\"https://api.stripe.com\"] }, { name = \"signing\", use = \"sign\" }, or { name = \"webhook\", use = \"hook\" }.";
    let mut object = field.object(problems)?;
    let name = object.require("name", FIX, problems).and_then(|field| {
        let pointer = field.pointer.clone();
        let name = field.text(256, problems)?;
        if !is_name(&name) {
            let message = format!("`{}` is not a valid name of a secret", shown(&name));
            let fix = "Use 1 to 63 lower-case letters, digits and hyphens, first and last a letter or digit.";
            problems.push(InputProblem::field(pointer, message, fix));
        }
        Some(name)
    });
    let to = object.take("to");
    let used = object.take("use");
    if to.is_none() && used.is_none() {
        problems.push(InputProblem::field(object.pointer(), "the secret has no allowed use", FIX));
    }
    let to = origins(to, problems);
    let used = used.and_then(|field| field.choice(&[("sign", SecretUse::Sign), ("hook", SecretUse::Hook)], problems));
    let (sign, hook) = (used == Some(SecretUse::Sign), used == Some(SecretUse::Hook));
    object.finish(problems);
    Some(SecretGrant { name: name?, to, sign, hook })
}

fn limits(field: ObjectField, problems: &mut Vec<InputProblem>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut object) = field.object(problems) else { return limits };
    let fuel = object.take("fuel").and_then(|field| field.number(1_000..=1_000_000_000_000_000, problems));
    limits.fuel = fuel.map_or(limits.fuel, Fuel::new);
    let mut size = |name, place: &mut u64, range| {
        *place = object.take(name).and_then(|field| field.size(range, problems)).unwrap_or(*place);
    };
    size("memory", &mut limits.memory, 64 * KIB..=4096 * MIB);
    size("output", &mut limits.output, 1..=OUTPUT_BYTES as u64);
    size("log", &mut limits.log, 0..=64 * MIB);
    size("journal", &mut limits.journal, 64 * KIB..=1024 * MIB);
    size("http_bytes", &mut limits.http_bytes, 0..=64 * 1024 * MIB);
    limits.active_millis =
        object.take("active").and_then(|field| field.duration(1..=3_600_000, problems)).unwrap_or(limits.active_millis);
    limits.lifetime_millis = object.take("lifetime").and_then(|field| field.duration(1_000..=366 * DAY, problems));
    limits.http_calls =
        object.take("http_calls").and_then(|field| field.number(0..=1_000_000, problems)).unwrap_or(limits.http_calls);
    object.finish(problems);
    limits
}

fn retry(field: ObjectField, problems: &mut Vec<InputProblem>) -> RunRetry {
    const FIX: &str =
        "Write \"never\", \"quick\" or \"patient\", or the number of retries and their distance, such as \"3x60s\".";
    let preset = |text: &str, pointer: &str, problems: &mut Vec<InputProblem>| {
        let policy = RetryPolicy::preset(text);
        if policy.is_none() {
            problems.push(InputProblem::field(pointer, format!("`{}` is not a preset", shown(text)), FIX));
        }
        policy.unwrap_or_default()
    };
    if let Value::String(text) = &field.value {
        return RunRetry { policy: preset(text, &field.pointer, problems), ..RunRetry::default() };
    }
    let mut retry = RunRetry::default();
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return retry };
    if let Some(field) = object.take("preset") {
        let pointer = field.pointer.clone();
        if let Some(text) = field.text(64, problems) {
            retry.policy = preset(&text, &pointer, problems);
        }
    }
    let policy = &mut retry.policy;
    let attempts = object.take("attempts").and_then(|field| field.number(0..=ATTEMPTS_MAX.into(), problems));
    policy.max_attempts = attempts.and_then(|n| u32::try_from(n).ok()).unwrap_or(policy.max_attempts);
    let initial = object.take("initial").and_then(|field| field.duration(0..=DELAY_MAX_MILLIS, problems));
    policy.initial_millis = initial.unwrap_or(policy.initial_millis);
    let max = object.take("max").and_then(|field| field.duration(0..=DELAY_MAX_MILLIS, problems));
    // A first delay above the default maximum raises the maximum, unless both are given.
    policy.max_millis = max.unwrap_or(policy.max_millis.max(policy.initial_millis));
    let factor = object.take("factor").and_then(|field| permille(field, 1.0, 100.0, problems));
    policy.factor_permille = factor.unwrap_or(policy.factor_permille);
    let jitter = object.take("jitter").and_then(|field| permille(field, 0.0, 1.0, problems));
    policy.jitter_permille = jitter.unwrap_or(policy.jitter_permille);
    if let Err(InvalidRetryPolicy(rule)) = policy.checked() {
        problems.push(InputProblem::field(
            pointer,
            format!("the retry policy is not valid: {rule}"),
            "Correct `initial` or `max`.",
        ));
    }
    retry.then = object.take("then").and_then(|field| {
        field.choice(&[("park", ExhaustionPolicy::Park), ("fail", ExhaustionPolicy::Fail)], problems)
    });
    retry.on_trap = object.take("on_trap").and_then(|field| field.boolean(problems)).unwrap_or(false);
    object.finish(problems);
    retry
}

/// Reads a number such as 2 or 1.5 in thousandths.
fn permille(field: ObjectField, least: f64, most: f64, problems: &mut Vec<InputProblem>) -> Option<u32> {
    match field.value.as_f64() {
        Some(number) if (least..=most).contains(&number) => Some((number * 1_000.0).round() as u32),
        _ => {
            let message = format!("not a number from {least} to {most}");
            problems.push(InputProblem::field(
                field.pointer,
                message,
                format!("Write a number from {least} to {most}."),
            ));
            None
        }
    }
}

fn health(field: ObjectField, problems: &mut Vec<InputProblem>) -> HealthPolicy {
    let mut health = HealthPolicy::default();
    if let Value::Bool(enabled) = field.value {
        return HealthPolicy { enabled, ..health };
    }
    let Some(mut object) = field.object(problems) else { return health };
    health.enabled = object.take("enabled").and_then(|field| field.boolean(problems)).unwrap_or(true);
    health.every_millis = object
        .take("every")
        .and_then(|field| field.duration(1_000..=3_600_000, problems))
        .unwrap_or(health.every_millis);
    object.finish(problems);
    health
}
