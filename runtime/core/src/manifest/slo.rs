//! Reads and writes the `[slo]` table of a manifest: what its callers can expect.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "host")]
use serde_json::{Value, json};

use crate::ids::InvalidName;
use crate::limits::Limits;
use crate::wire::{InputProblem, ObjectField, ObjectReader, duration_text};

/// Least and greatest duration of an objective for latency, in milliseconds: 1 ms and 1 day.
const WITHIN_MILLIS: std::ops::RangeInclusive<u64> = 1..=24 * 3_600_000;
/// The percentiles that an objective for latency can name, with their objectives.
const PERCENTILES: [(&str, u32); 4] = [("p50", 50_000), ("p90", 90_000), ("p95", 95_000), ("p99", 99_000)];

/// A share of attempts that must be good, in thousandths of a per cent: more than 0 %, and less
/// than 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Objective(u32);

impl Objective {
    /// All attempts.
    pub const WHOLE: u32 = 100_000;

    /// Returns an objective of that many thousandths of a per cent; `None` if it is none.
    #[must_use]
    pub const fn new(thousandths: u32) -> Option<Self> {
        if thousandths > 0 && thousandths < Self::WHOLE { Some(Self(thousandths)) } else { None }
    }

    /// Returns the share of attempts that may be bad, in thousandths of a per cent. At least 1.
    #[must_use]
    pub const fn budget(self) -> u32 {
        Self::WHOLE - self.0
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Objective {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const INVALID: InvalidName = InvalidName {
            kind: "objective",
            rule: "more than 0 % and less than 100 % with at most three decimals, such as \"99.9%\"",
        };
        let number = text.strip_suffix('%').map(str::trim_end).ok_or(INVALID)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole, 3) || !is_digits(decimals, 3) {
            return Err(INVALID);
        }
        let thousandths = format!("{whole}{decimals:0<3}").parse().map_err(|_| INVALID)?;
        Self::new(thousandths).ok_or(INVALID)
    }
}

/// One objective of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceObjective {
    /// This share of the attempts does not fail by the deployment's fault.
    Availability(Objective),
    /// This share of the attempts takes no longer.
    Latency {
        /// The share.
        target: Objective,
        /// The maximum duration, in milliseconds.
        within_millis: u64,
    },
}

impl ServiceObjective {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Availability(_) => "availability",
            Self::Latency { .. } => "latency",
        }
    }

    /// Returns the share of attempts that must be good.
    #[must_use]
    pub const fn target(&self) -> Objective {
        match self {
            Self::Availability(target) | Self::Latency { target, .. } => *target,
        }
    }
}

/// The service level objectives of a deployment. The default has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceLevel {
    /// Which share of the attempts does not fail.
    pub availability: Option<Objective>,
    /// Which share of the attempts takes no longer than how many milliseconds.
    pub latency: Option<(Objective, u64)>,
}

impl ServiceLevel {
    /// Returns its objectives.
    pub fn objectives(&self) -> impl Iterator<Item = ServiceObjective> + use<> {
        let latency = self.latency.map(|(target, within_millis)| ServiceObjective::Latency { target, within_millis });
        self.availability.map(ServiceObjective::Availability).into_iter().chain(latency)
    }

    /// Whether it has no objective.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.availability.is_none() && self.latency.is_none()
    }
}

/// Reads the table. `limits` are those of the manifest.
pub(super) fn read(field: ObjectField, limits: &Limits, problems: &mut Vec<InputProblem>) -> ServiceLevel {
    const FIX: &str = "Write `availability = \"99.9%\"`, `latency = { p95 = \"2s\" }`, or both.";
    let (pointer, before) = (field.pointer.clone(), problems.len());
    let Some(mut object) = field.object(problems) else { return ServiceLevel::default() };
    let availability = object.take("availability").and_then(|field| field.parse::<Objective>(problems));
    let latency = object.take("latency").and_then(|field| latency(field, limits, problems));
    object.finish(problems);
    let level = ServiceLevel { availability, latency };
    if level.is_empty() && problems.len() == before {
        problems.push(InputProblem::field(pointer, "there is no objective", FIX));
    }
    level
}

fn latency(field: ObjectField, limits: &Limits, problems: &mut Vec<InputProblem>) -> Option<(Objective, u64)> {
    let (pointer, before) = (field.pointer.clone(), problems.len());
    let mut object: ObjectReader = field.object(problems)?;
    let mut found = Vec::new();
    for (name, thousandths) in PERCENTILES {
        let Some(field) = object.take(name) else { continue };
        let pointer = field.pointer.clone();
        let Some(millis) = field.duration(WITHIN_MILLIS, problems) else { continue };
        if let Some(lifetime) = limits.lifetime_millis.filter(|lifetime| millis > *lifetime) {
            let lifetime = duration_text(lifetime);
            let message =
                format!("{} is longer than the lifetime of a run, which is {lifetime}", duration_text(millis));
            let fix = format!("Write at most {lifetime}, or raise `limits.lifetime`.");
            problems.push(InputProblem::field(pointer, message, fix));
        }
        found.extend(Objective::new(thousandths).map(|target| (target, millis)));
    }
    object.finish(problems);
    if found.len() != 1 && problems.len() == before {
        let message = format!("{} percentiles instead of one", found.len());
        problems.push(InputProblem::field(
            pointer,
            message,
            "Write one of them, such as `latency = { p95 = \"2s\" }`.",
        ));
    }
    found.pop()
}

/// Writes the table; `None` if there is no objective.
#[cfg(feature = "host")]
pub(super) fn write(level: &ServiceLevel) -> Option<Value> {
    if level.is_empty() {
        return None;
    }
    let mut object = serde_json::Map::new();
    if let Some(target) = level.availability {
        object.insert("availability".to_owned(), target.to_string().into());
    }
    if let Some((target, millis)) = level.latency {
        let name = PERCENTILES.iter().find(|(_, known)| Objective::new(*known) == Some(target));
        object.insert("latency".to_owned(), json!({ name.map_or("p50", |(name, _)| name): duration_text(millis) }));
    }
    Some(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    fn parse(slo: &Value) -> Result<Manifest, Vec<InputProblem>> {
        let manifest = json!({ "module": "hello@0.1.0", "limits": { "lifetime": "1m" }, "slo": slo });
        Manifest::parse_json(manifest.to_string().as_bytes())
    }

    #[test]
    fn objectives_are_read_and_written() {
        let manifest = parse(&json!({ "availability": "99.95%", "latency": { "p95": "2s" } })).unwrap();
        let latency = Some((Objective(95_000), 2_000));
        assert_eq!(manifest.slo, ServiceLevel { availability: Some(Objective(99_950)), latency });
        assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
        let without = Manifest::parse_json(br#"{"module": "hello@0.1.0"}"#).unwrap();
        assert!(without.slo.is_empty() && without.to_json().get("slo").is_none());
    }

    #[test]
    fn an_objective_that_cannot_be_met_or_missed_is_refused_with_its_pointer() {
        for (slo, pointer) in [
            (json!({ "availability": "100%" }), "/slo/availability"),
            (json!({ "availability": "0%" }), "/slo/availability"),
            (json!({ "availability": "99.9999%" }), "/slo/availability"),
            (json!({ "availability": "99,9%" }), "/slo/availability"),
            (json!({ "availability": 99.9 }), "/slo/availability"),
            (json!({ "availability": "0.999" }), "/slo/availability"),
            (json!({ "latency": { "p95": "2m" } }), "/slo/latency/p95"),
            (json!({ "latency": { "p95": "0s" } }), "/slo/latency/p95"),
            (json!({ "latency": { "p80": "2s" } }), "/slo/latency/p80"),
            (json!({ "latency": {} }), "/slo/latency"),
            (json!({ "latency": { "p50": "1s", "p99": "2s" } }), "/slo/latency"),
            (json!({}), "/slo"),
            (json!(true), "/slo"),
        ] {
            let problems = parse(&slo).unwrap_err();
            assert_eq!(problems.len(), 1, "{slo}: {problems:?}");
            assert_eq!(problems[0].pointer, pointer, "{slo}");
            assert!(problems[0].fix.ends_with('.'), "{problems:?}");
        }
    }

    proptest! {
        #[test]
        fn an_objective_is_read_back(thousandths in 0u32..110_000) {
            let objective = Objective::new(thousandths);
            prop_assert_eq!(objective.is_some(), (1..100_000).contains(&thousandths));
            if let Some(objective) = objective {
                prop_assert_eq!(objective.to_string().parse(), Ok(objective));
            }
        }

        #[test]
        fn texts_of_any_content_never_panic(text in "[0-9.% ]{0,9}|\\PC{0,12}") {
            let _ = text.parse::<Objective>();
        }
    }
}
