//! Reads and writes the `[breaker]` table of a manifest. [`BreakerSettings`] documents the fields.

use std::ops::RangeInclusive;

use serde_json::Value;
#[cfg(feature = "host")]
use serde_json::json;

use crate::breaker::{BreakerPolicy, WINDOW_MAX};
#[cfg(feature = "host")]
use crate::wire::duration_text;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

/// One day, in milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// Least and greatest number of judged attempts.
const CALLS: RangeInclusive<u64> = 1..=WINDOW_MAX as u64;
/// Least and greatest share, in per cent.
const PERCENT: RangeInclusive<u64> = 1..=100;
/// Least and greatest duration above which an attempt is slow, in milliseconds.
const SLOW_MILLIS: RangeInclusive<u64> = 1..=DAY;
/// Least and greatest duration of the open phase and of half-open, in milliseconds.
const PHASE_MILLIS: RangeInclusive<u64> = 1_000..=DAY;

/// When the runs of a deployment are held back because its attempts fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Whether the outcomes of attempts open the breaker.
    pub enabled: bool,
    /// When it opens and how it closes again. No attempt is slow if `slow_millis` is `u64::MAX`.
    pub policy: BreakerPolicy,
}

impl Default for BreakerSettings {
    /// The defaults of [`BreakerPolicy`], except that no attempt is slow: a run may take as long as
    /// its limits allow. An attempt ends by itself, within those limits, so half-open waits for the
    /// first one.
    fn default() -> Self {
        let policy = BreakerPolicy { slow_millis: u64::MAX, awaits_first: true, ..BreakerPolicy::default() };
        Self { enabled: true, policy }
    }
}

/// Reads the table, or `false` for a breaker that is not enabled.
pub(super) fn read(field: ObjectField, problems: &mut Vec<InputProblem>) -> BreakerSettings {
    let mut settings = BreakerSettings::default();
    if let Value::Bool(enabled) = field.value {
        return BreakerSettings { enabled, ..settings };
    }
    let Some(mut object) = field.object(problems) else { return settings };
    settings.enabled = object.take("enabled").and_then(|field| field.boolean(problems)).unwrap_or(true);
    let policy = &mut settings.policy;
    let window = number(&mut object, "window", CALLS, problems);
    policy.window = window.unwrap_or(policy.window);
    // The default of the minimum is never above a given window.
    let minimum = minimum_calls(&mut object, policy.window, problems);
    policy.minimum_calls = minimum.unwrap_or(policy.minimum_calls.min(policy.window));
    let failed = number(&mut object, "failure_percent", PERCENT, problems);
    policy.failure_percent = failed.unwrap_or(policy.failure_percent);
    let slow = object.take("slow");
    let has_slow = slow.is_some();
    policy.slow_millis = slow.and_then(|field| field.duration(SLOW_MILLIS, problems)).unwrap_or(policy.slow_millis);
    if let Some(field) = object.take("slow_percent") {
        let pointer = field.pointer.clone();
        let percent = field.number(PERCENT, problems).and_then(|percent| u32::try_from(percent).ok());
        policy.slow_percent = percent.unwrap_or(policy.slow_percent);
        if !has_slow {
            let fix = "Give `slow`, such as \"30s\", or remove it.";
            problems.push(InputProblem::field(pointer, "there is no duration above which an attempt is slow", fix));
        }
    }
    let open = object.take("open").and_then(|field| field.duration(PHASE_MILLIS, problems));
    policy.open_millis = open.unwrap_or(policy.open_millis);
    let calls = number(&mut object, "half_open_calls", CALLS, problems);
    policy.half_open_calls = calls.unwrap_or(policy.half_open_calls);
    let half_open = object.take("half_open").and_then(|field| field.duration(PHASE_MILLIS, problems));
    policy.half_open_millis = half_open.unwrap_or(policy.half_open_millis);
    object.finish(problems);
    settings
}

fn number(
    object: &mut ObjectReader,
    name: &'static str,
    range: RangeInclusive<u64>,
    problems: &mut Vec<InputProblem>,
) -> Option<u32> {
    object.take(name).and_then(|field| field.number(range, problems)).and_then(|number| u32::try_from(number).ok())
}

fn minimum_calls(object: &mut ObjectReader, window: u32, problems: &mut Vec<InputProblem>) -> Option<u32> {
    let field = object.take("minimum_calls")?;
    let pointer = field.pointer.clone();
    let minimum = field.number(CALLS, problems).and_then(|number| u32::try_from(number).ok())?;
    if minimum > window {
        let message = format!("the breaker never sees {minimum} attempts, because `window` is {window}");
        let fix = format!("Write at most {window}, or raise `window` up to {WINDOW_MAX}.");
        problems.push(InputProblem::field(pointer, message, fix));
    }
    Some(minimum)
}

/// Writes the table; `None` if every field has its default.
#[cfg(feature = "host")]
pub(super) fn write(settings: &BreakerSettings) -> Option<Value> {
    if *settings == BreakerSettings::default() {
        return None;
    }
    let BreakerSettings { enabled, policy } = settings;
    let mut object = json!({
        "enabled": enabled,
        "window": policy.window,
        "minimum_calls": policy.minimum_calls,
        "failure_percent": policy.failure_percent,
        "open": duration_text(policy.open_millis),
        "half_open_calls": policy.half_open_calls,
        "half_open": duration_text(policy.half_open_millis),
    });
    if let Some(object) = object.as_object_mut()
        && policy.slow_millis != u64::MAX
    {
        object.insert("slow".to_owned(), duration_text(policy.slow_millis).into());
        object.insert("slow_percent".to_owned(), policy.slow_percent.into());
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    fn parse(breaker: &Value) -> Result<Manifest, Vec<InputProblem>> {
        Manifest::parse_json(json!({ "module": "hello@0.1.0", "breaker": breaker }).to_string().as_bytes())
    }

    #[test]
    fn every_field_is_read_and_written() {
        let manifest = parse(&json!({
            "enabled": true, "window": 40, "minimum_calls": 5, "failure_percent": 30, "slow": "10s", "slow_percent": 80,
            "open": "2m", "half_open_calls": 3, "half_open": "5m",
        }))
        .unwrap();
        let policy = BreakerPolicy {
            window: 40,
            minimum_calls: 5,
            failure_percent: 30,
            slow_percent: 80,
            slow_millis: 10_000,
            open_millis: 120_000,
            half_open_calls: 3,
            half_open_millis: 300_000,
            awaits_first: true,
        };
        assert_eq!(manifest.breaker, BreakerSettings { enabled: true, policy });
        assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn absent_fields_have_their_defaults_and_leave_the_text_unchanged() {
        let manifest = Manifest::parse_json(br#"{"module": "hello@0.1.0"}"#).unwrap();
        assert_eq!(manifest.breaker, BreakerSettings::default());
        assert!(manifest.breaker.enabled && manifest.to_json().get("breaker").is_none());
        let small = parse(&json!({ "window": 4 })).unwrap().breaker.policy;
        assert_eq!((small.window, small.minimum_calls), (4, 4));
        assert_eq!(parse(&json!(false)).unwrap(), parse(&json!({ "enabled": false })).unwrap());
    }

    #[test]
    fn problems_name_their_fields_and_the_fix() {
        let problems = parse(&json!({
            "enabled": "yes", "window": 65, "minimum_calls": 0, "failure_percent": 101, "slow_percent": 50,
            "open": "10ms", "half_open_calls": 1.5, "half_open": "2days", "threshold": 3,
        }))
        .unwrap_err();
        let mut found: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        found.sort_unstable();
        let expected = [
            "/breaker/enabled",
            "/breaker/failure_percent",
            "/breaker/half_open",
            "/breaker/half_open_calls",
            "/breaker/minimum_calls",
            "/breaker/open",
            "/breaker/slow_percent",
            "/breaker/threshold",
            "/breaker/window",
        ];
        assert_eq!(found, expected, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
        let above = parse(&json!({ "window": 5, "minimum_calls": 6 })).unwrap_err();
        assert_eq!(above[0].pointer, "/breaker/minimum_calls");
        assert!(above[0].fix.contains("at most 5"), "{above:#?}");
        assert_eq!(parse(&json!("on")).unwrap_err()[0].pointer, "/breaker");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_within_bounds_and_read_back(
            window in 0u64..70, minimum in 0u64..70, percent in 0u64..120, slow in prop::option::of(0u64..200_000_000),
            open in 0u64..200_000_000, calls in 0u64..70,
        ) {
            let millis = |millis: u64| format!("{millis}ms");
            let mut breaker = json!({
                "window": window, "minimum_calls": minimum, "failure_percent": percent, "open": millis(open),
                "half_open_calls": calls,
            });
            if let Some(slow) = slow {
                breaker["slow"] = millis(slow).into();
            }
            match parse(&breaker) {
                Ok(manifest) => {
                    prop_assert_eq!(manifest.breaker.policy.bounded(), manifest.breaker.policy);
                    prop_assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
                }
                Err(problems) => prop_assert!(problems.iter().all(|it| it.pointer.starts_with("/breaker/"))),
            }
        }
    }
}
