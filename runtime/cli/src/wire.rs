//! The host's answers, as commands read and show them. Unknown fields are kept or ignored, and
//! missing fields are empty.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::printer::{Row, clean};

/// Maximum number of items that the text of a wait names.
const WAITS: usize = 3;

/// A run's record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The id of the run.
    pub id: String,
    /// The deployment of the run.
    pub deployment: String,
    /// The export that it executes.
    pub export: String,
    /// The state of the run.
    pub state: String,
    /// The trigger that started it.
    pub trigger: Value,
    /// The number of the attempt.
    pub attempt: u32,
    /// When the run was requested.
    pub created_at: String,
    /// When the run first started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Fuel used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Maximum memory used, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why the run failed or is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The failures so far, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureEntry>,
    /// What the run waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Wait>,
    /// Number of entries in its journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_entries: Option<u64>,
    /// All other fields of the answer.
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
    /// Whether a retry may succeed.
    pub retryable: bool,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Additional data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// A failure of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureEntry {
    /// The sequence number, from 1. A gap shows that failures were dropped.
    pub number: u64,
    /// When it happened.
    pub at: String,
    /// The run's attempt.
    pub attempt: u32,
    /// What failed: `step`, `attempt` or `cancellation`.
    pub of: String,
    /// The path of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The step's attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_attempt: Option<u32>,
    /// The failure.
    pub failure: Failure,
}

impl FailureEntry {
    /// Formats the failure as one line.
    pub fn text(&self) -> String {
        let what = match (&self.step, self.step_attempt) {
            (Some(step), Some(attempt)) => format!("step {} attempt {attempt}", clean(step)),
            _ if self.of == "cancellation" => "cancellation".to_owned(),
            _ => format!("attempt {}", self.attempt),
        };
        format!(
            "  {:<3} {}  {what}  {}: {}",
            self.number,
            self.at,
            clean(&self.failure.code),
            clean(&self.failure.message)
        )
    }
}

/// A wait of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wait {
    /// The run resumes with the first of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<WaitFor>,
    /// The run resumes after all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<WaitFor>,
    /// Number of further items that the host did not list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// The deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An item that a run waits for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitFor {
    /// A signal of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The end of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Wait {
    /// Formats the wait: `signal paid or run 01k…, until 2026-…`.
    pub fn text(&self) -> String {
        let one = |thing: &WaitFor| match (&thing.signal, &thing.run) {
            (Some(signal), _) => format!("signal {}", clean(signal)),
            (None, run) => format!("run {}", run.as_deref().unwrap_or_default()),
        };
        let some = |things: &[WaitFor], between: &str| {
            let mut words: Vec<_> = things.iter().take(WAITS).map(one).collect();
            let rest = things.len().saturating_sub(WAITS) as u64 + self.more.unwrap_or(0);
            if !things.is_empty() && rest > 0 {
                words.push(format!("{} more", grouped(rest)));
            }
            words.join(between)
        };
        let things = [some(&self.any_of, " or "), some(&self.all_of, " and ")].concat();
        let until = self.until.as_ref().map(|until| format!("until {until}")).unwrap_or_default();
        let parts: Vec<_> = [things, until].into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }
}

impl Run {
    /// Returns whether the run was asked to end and has not ended yet.
    pub fn is_asked_to_end(&self) -> bool {
        !self.is_settled() && self.more.contains_key("cancel")
    }

    /// Returns why the run is in its state: what it waits for, or the code of its failure.
    pub fn why(&self) -> String {
        match (&self.failure, &self.waiting_for) {
            (Some(failure), _) => clean(&failure.code),
            (None, Some(wait)) => wait.text(),
            (None, None) => String::new(),
        }
    }

    /// Returns whether the run has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled")
    }

    /// Returns whether the run has ended or is parked.
    pub fn is_settled(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled" | "parked")
    }

    /// Returns the milliseconds from its first start to its end.
    pub fn took_millis(&self) -> Option<u64> {
        let read = |text: &Option<String>| tidemill_core::Timestamp::parse_rfc3339(text.as_deref()?);
        Some(read(&self.ended_at)?.millis_since(read(&self.started_at)?))
    }
}

impl Row for Run {
    const HEADS: &'static [&'static str] =
        &["RUN", "DEPLOYMENT", "STATE", "TRIGGER", "CREATED", "TOOK", "FUEL", "MEMORY", "WHY"];

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
            self.why(),
        ]
    }
}

/// Formats a trigger in one or two words: `manual`, `schedule often`.
pub fn trigger(trigger: &Value) -> String {
    let part = |name: &str| trigger.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = trigger.as_str().unwrap_or_else(|| part("kind"));
    format!("{kind} {}", part("name")).trim().to_owned()
}

/// A line of a run's log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    /// The index of the line in the log.
    pub seq: u64,
    /// When it was written.
    pub at: String,
    /// The number of the attempt that wrote it.
    pub attempt: u32,
    /// The level.
    pub level: String,
    /// The text.
    pub message: String,
    /// Named values.
    pub fields: Value,
}

impl LogLine {
    /// Formats the log line.
    pub fn text(&self) -> String {
        let mut line = format!("{} {:5} {}", self.at, self.level, clean(&self.message));
        if self.attempt > 1 {
            line.push_str(&format!("  attempt={}", self.attempt));
        }
        if let Some(fields) = self.fields.as_object() {
            for (name, value) in fields {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                line.push_str(&format!("  {}={}", clean(name), clean(&value)));
            }
        }
        line
    }
}

/// Returns a prefix of a digest that distinguishes it from others.
pub fn short_digest(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// Formats a number with a comma before each third digit from the right.
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

/// Formats the number in an answer's field `events`: `1 event`, `2 events`.
pub fn events(answer: &serde_json::Value) -> String {
    match answer["events"].as_u64().unwrap_or_default() {
        1 => "1 event".to_owned(),
        count => format!("{} events", grouped(count)),
    }
}

/// Formats bytes for people: `512 B`, `1.2 MiB`.
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
    fn a_wait_is_formatted_as_text() {
        let wait = |text: &str| serde_json::from_str::<Wait>(text).unwrap().text();
        assert_eq!(
            wait(r#"{"any_of": [{"signal": "paid"}, {"run": "a"}], "until": "T"}"#),
            "signal paid or run a, until T"
        );
        assert_eq!(wait(r#"{"until": "T"}"#), "until T");
        let many: Vec<_> = (0..5).map(|n| format!(r#"{{"run": "{n}"}}"#)).collect();
        assert_eq!(wait(&format!(r#"{{"all_of": [{}]}}"#, many.join(","))), "run 0 and run 1 and run 2 and 2 more");
        assert_eq!(wait(r#"{"any_of": [{"run": "a"}], "more": 3996}"#), "run a or 3,996 more");
    }

    #[test]
    fn a_run_keeps_unknown_fields() {
        let run: Run = serde_json::from_str(r#"{"id": "a", "state": "parked", "novelty": 3}"#).unwrap();
        assert!(run.is_settled());
        assert_eq!(serde_json::to_value(&run).unwrap()["novelty"], 3);
    }
}
