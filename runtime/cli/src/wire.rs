//! What the host answers, as commands read and show it. Members that a command does not show are left out; those that
//! an answer lacks are empty.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::printer::{Row, clean};

/// A run's record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// What it belongs to.
    pub deployment: String,
    /// Which export it executes.
    pub export: String,
    /// Where it stands.
    pub state: String,
    /// What started it.
    pub trigger: Value,
    /// The try it is at.
    pub attempt: u32,
    /// When it was asked for.
    pub created_at: String,
    /// When it was first taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// The most memory it held, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed or is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Everything else that the host says of it.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

/// Why a run failed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Whether it may pass.
    pub retryable: bool,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Anything more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl Run {
    /// Whether nobody need wait for it any longer.
    pub fn is_settled(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled" | "parked")
    }

    /// From its first start to its end, in milliseconds.
    pub fn took_millis(&self) -> Option<u64> {
        let read = |text: &Option<String>| tidemill_core::Timestamp::parse_rfc3339(text.as_deref()?);
        Some(read(&self.ended_at)?.millis_since(read(&self.started_at)?))
    }
}

impl Row for Run {
    const HEADS: &'static [&'static str] =
        &["RUN", "DEPLOYMENT", "STATE", "TRIGGER", "CREATED", "TOOK", "FUEL", "MEMORY", "FAILURE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.deployment.clone(),
            self.state.clone(),
            trigger(&self.trigger),
            self.created_at.clone(),
            self.took_millis().map(|millis| format!("{millis} ms")).unwrap_or_default(),
            self.fuel.map(grouped).unwrap_or_default(),
            self.peak_memory.map(bytes).unwrap_or_default(),
            self.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default(),
        ]
    }
}

/// A trigger in a word or two: `manual`, `schedule often`.
pub fn trigger(trigger: &Value) -> String {
    let part = |name: &str| trigger.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = trigger.as_str().unwrap_or_else(|| part("kind"));
    format!("{kind} {}", part("name")).trim().to_owned()
}

/// A line of a run's log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    /// Its place in the log.
    pub seq: u64,
    /// When it was written.
    pub at: String,
    /// Which attempt wrote it.
    pub attempt: u32,
    /// How severe.
    pub level: String,
    /// The text.
    pub message: String,
    /// Names and values.
    pub fields: Value,
}

impl LogLine {
    /// As one line of text.
    pub fn text(&self) -> String {
        let mut line = format!("{} {:5} {}", self.at, self.level, clean(&self.message));
        if let Some(fields) = self.fields.as_object() {
            for (name, value) in fields {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                line.push_str(&format!("  {}={}", clean(name), clean(&value)));
            }
        }
        line
    }
}

/// As much of a digest as tells it from others.
pub fn short_digest(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// A number with a comma before each third digit from the right.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes for people: `512 B`, `1.2 MiB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (bytes(10), bytes(1536), bytes(1 << 20), bytes(5 << 30)),
            ("10 B".into(), "1.5 KiB".into(), "1.0 MiB".into(), "5.0 GiB".into())
        );
    }

    #[test]
    fn a_trigger_is_shown_in_both_its_forms() {
        assert_eq!(trigger(&serde_json::json!("manual")), "manual");
        assert_eq!(trigger(&serde_json::json!({"kind": "schedule", "name": "often", "at": "x"})), "schedule often");
    }

    #[test]
    fn a_run_keeps_what_this_version_does_not_know() {
        let run: Run = serde_json::from_str(r#"{"id": "a", "state": "parked", "novelty": 3}"#).unwrap();
        assert!(run.is_settled());
        assert_eq!(serde_json::to_value(&run).unwrap()["novelty"], 3);
    }
}
