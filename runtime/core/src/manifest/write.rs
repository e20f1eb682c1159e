//! Writes a complete manifest, in the form that `read` reads.

use serde_json::{Map, Value, json};

use super::{Grants, Manifest, Source};
use crate::limits::Limits;
use crate::retry::{ExhaustionPolicy, RunRetry};
use crate::schedule::{Exclusion, GapPolicy, RepeatPolicy, ScheduleSpec};
use crate::topics::{Condition, Subscription};
use crate::wire::{duration_text, size_text};

pub(super) fn manifest(manifest: &Manifest) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    if let Some(name) = &manifest.name {
        put("name", name.as_str().into());
    }
    match &manifest.source {
        Source::Module(module) => put("module", module.to_string().into()),
        Source::Component(digest) => put("component", digest.to_string().into()),
    };
    put("enabled", manifest.enabled.into());
    put("priority", manifest.priority.into());
    put("concurrency", manifest.concurrency.into());
    super::flow::write(&manifest.flow, &mut object);
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("labels", json!(manifest.labels));
    put("config", text_as_json(&manifest.config));
    put("grants", grants(&manifest.grants));
    put("limits", limits(&manifest.limits));
    put("retry", retry(&manifest.retry));
    put("schedules", manifest.schedules.iter().map(|known| schedule(known.spec())).collect());
    put("subscriptions", manifest.subscriptions.iter().map(subscription).collect());
    // The text of a manifest without hooks and budgets does not change.
    if !manifest.hooks.is_empty() {
        put("hooks", manifest.hooks.iter().map(super::hooks::write).collect());
    }
    if !manifest.budgets.is_empty() {
        put("budgets", manifest.budgets.iter().map(super::budgets::write).collect());
    }
    if let Some(breaker) = super::breaker::write(&manifest.breaker) {
        put("breaker", breaker);
    }
    let health = manifest.health;
    put("health", json!({ "enabled": health.enabled, "every": duration_text(health.every_millis) }));
    if let Some(healing) = super::healing::write(&manifest.healing) {
        put("healing", healing);
    }
    if let Some(slo) = super::slo::write(&manifest.slo) {
        put("slo", slo);
    }
    if let Some(ledger) = super::ledger::write(&manifest.ledger) {
        put("ledger", ledger);
    }
    if let Some(since) = manifest.since {
        put("since", since.to_rfc3339().into());
    }
    Value::Object(object)
}

/// The value of a text that was JSON when it was read.
fn text_as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn grants(grants: &Grants) -> Value {
    let origins = |origins: &[crate::origin::HttpGrant]| -> Value { origins.iter().map(ToString::to_string).collect() };
    let secrets: Vec<Value> = grants
        .secrets
        .iter()
        .map(|secret| {
            let mut object = Map::new();
            object.insert("name".to_owned(), secret.name.as_str().into());
            if !secret.to.is_empty() || !(secret.sign || secret.hook) {
                object.insert("to".to_owned(), origins(&secret.to));
            }
            if secret.sign {
                object.insert("use".to_owned(), "sign".into());
            } else if secret.hook {
                object.insert("use".to_owned(), "hook".into());
            }
            Value::Object(object)
        })
        .collect();
    let mut object = json!({
        "http": origins(&grants.http),
        "secrets": secrets,
        "ledger": grants.ledger,
        "deployments": grants.deployments,
        "topics": grants.topics,
    });
    // The text of a manifest without this grant does not change.
    if let (Some(object), Some(operator)) = (object.as_object_mut(), &grants.operator) {
        object.insert("operator".to_owned(), super::operator::write(operator));
    }
    object
}

fn limits(limits: &Limits) -> Value {
    let mut object = json!({
        "fuel": limits.fuel,
        "memory": size_text(limits.memory),
        "active": duration_text(limits.active_millis),
        "output": size_text(limits.output),
        "log": size_text(limits.log),
        "http_calls": limits.http_calls,
        "journal": size_text(limits.journal),
        "http_bytes": size_text(limits.http_bytes),
    });
    if let (Some(object), Some(lifetime)) = (object.as_object_mut(), limits.lifetime_millis) {
        object.insert("lifetime".to_owned(), duration_text(lifetime).into());
    }
    object
}

fn retry(retry: &RunRetry) -> Value {
    let policy = &retry.policy;
    let mut object = json!({
        "attempts": policy.max_attempts,
        "initial": duration_text(policy.initial_millis),
        "factor": f64::from(policy.factor_permille) / 1_000.0,
        "max": duration_text(policy.max_millis),
        "jitter": f64::from(policy.jitter_permille) / 1_000.0,
        "on_trap": retry.on_trap,
    });
    if let (Some(object), Some(then)) = (object.as_object_mut(), retry.then) {
        let then = match then {
            ExhaustionPolicy::Park => "park",
            ExhaustionPolicy::Fail => "fail",
        };
        object.insert("then".to_owned(), then.into());
    }
    object
}

pub(super) fn schedule(spec: &ScheduleSpec) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("name", spec.name.as_str().into());
    if !spec.cron.is_empty() {
        put("cron", json!(spec.cron));
    }
    if let Some(every) = spec.every_millis {
        put("every", duration_text(every).into());
        put("phase", duration_text(spec.phase_millis).into());
    }
    if !spec.at.is_empty() {
        put("at", spec.at.iter().map(|at| at.to_rfc3339()).collect());
    }
    put("time_zone", spec.time_zone.name().into());
    let gap = match spec.gap {
        GapPolicy::Next => "next",
        GapPolicy::Skip => "skip",
    };
    put("gap", gap.into());
    let repeated = match spec.repeated {
        RepeatPolicy::First => "first",
        RepeatPolicy::Both => "both",
    };
    put("repeated", repeated.into());
    for (name, time) in [("start", spec.start), ("end", spec.end)] {
        if let Some(time) = time {
            put(name, time.to_rfc3339().into());
        }
    }
    let exclusion = |exclusion: &Exclusion| match exclusion {
        Exclusion::Day(day) => day.to_string().into(),
        Exclusion::Span { start, end } => json!({ "start": start.to_rfc3339(), "end": end.to_rfc3339() }),
    };
    put("exclude", spec.exclude.iter().map(exclusion).collect());
    put("jitter", duration_text(spec.jitter_millis).into());
    if spec.long_jitter {
        put("long_jitter", true.into());
    }
    put("overlap", spec.overlap.as_str().into());
    put("catch_up", spec.catch_up.as_str().into());
    put("catch_up_window", duration_text(spec.catch_up_window_millis).into());
    if let Some(limit) = spec.limit {
        put("limit", limit.into());
    }
    if let Some(failures) = spec.pause_after_failures {
        put("pause_after_failures", failures.into());
    }
    put("input", text_as_json(&spec.input));
    if let Some(export) = spec.export {
        put("export", export.as_str().into());
    }
    Value::Object(object)
}

fn subscription(subscription: &Subscription) -> Value {
    let Subscription { name, topic, filter, export, from } = subscription;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("name", name.as_str().into());
    put("topic", topic.as_str().into());
    put("from", json!(from));
    if !filter.is_empty() {
        let one = |Condition { pointer, any_of }: &Condition| match any_of.as_slice() {
            [only] => (pointer.clone(), only.clone()),
            any_of => (pointer.clone(), any_of.into()),
        };
        put("filter", Value::Object(filter.conditions().iter().map(one).collect()));
    }
    if let Some(export) = export {
        put("export", export.as_str().into());
    }
    Value::Object(object)
}
