//! Formats the host's answers for people.

use tidemill_api_types::{FailureEntry, LogLine, Pause, Run, Time, Trigger, Wait, WaitFor};
use tidemill_core::ComponentDigest;
use tidemill_core::wire::grouped;

use crate::printer::{Row, clean};

/// Maximum number of items that the text of a wait names.
const WAITS: usize = 3;

/// Formats a failure of a run as one line.
pub fn failure_line(entry: &FailureEntry<'_>) -> String {
    let what = match (&entry.step, entry.step_attempt) {
        (Some(step), Some(attempt)) => format!("step {} attempt {attempt}", clean(step)),
        _ if entry.of == "cancellation" => "cancellation".to_owned(),
        _ => format!("attempt {}", entry.attempt),
    };
    let failure = &entry.failure;
    format!("  {:<3} {}  {what}  {}: {}", entry.number, entry.at, clean(&failure.code), clean(&failure.message))
}

/// Formats a wait: `signal paid or run 01k…, until 2026-…`.
pub fn wait(wait: &Wait<'_>) -> String {
    let one = |thing: &WaitFor<'_>| match thing {
        WaitFor::Signal(signal) => format!("signal {}", clean(signal)),
        WaitFor::Run(run) => format!("run {run}"),
    };
    let some = |things: &[WaitFor<'_>], between: &str| {
        let mut words: Vec<_> = things.iter().take(WAITS).map(one).collect();
        let rest = things.len().saturating_sub(WAITS) as u64 + wait.more.unwrap_or(0);
        if !things.is_empty() && rest > 0 {
            words.push(format!("{} more", grouped(rest)));
        }
        words.join(between)
    };
    let things = [some(&wait.any_of, " or "), some(&wait.all_of, " and ")].concat();
    let until = wait.until.map(|until| format!("until {until}")).unwrap_or_default();
    let parts: Vec<_> = [things, until].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// Returns why the run is in its state: what it waits for, or the code of its failure.
pub fn why(run: &Run<'_>) -> String {
    match (&run.failure, &run.waiting_for) {
        (Some(failure), _) => clean(&failure.code),
        (None, Some(waiting_for)) => wait(waiting_for),
        (None, None) => String::new(),
    }
}

impl Row for Run<'_> {
    const HEADS: &'static [&'static str] =
        &["RUN", "DEPLOYMENT", "STATE", "TRIGGER", "CREATED", "TOOK", "FUEL", "MEMORY", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.deployment.to_string(),
            self.state.to_string(),
            trigger(&self.trigger),
            self.created_at.to_string(),
            self.took_millis().map(|millis| format!("{millis} ms")).unwrap_or_default(),
            grouped(self.fuel),
            bytes(self.peak_memory),
            why(self),
        ]
    }
}

/// Formats a trigger in one or two words: `manual`, `schedule often`.
pub fn trigger(trigger: &Trigger<'_>) -> String {
    format!("{} {}", trigger.kind, trigger.name.as_deref().unwrap_or_default()).trim().to_owned()
}

/// Formats a log line.
pub fn log_line(line: &LogLine<'_>) -> String {
    let mut text = format!("{} {:5} {}", line.at, line.level, clean(&line.message));
    if line.attempt > 1 {
        text.push_str(&format!("  attempt={}", line.attempt));
    }
    for (name, value) in line.fields.iter() {
        text.push_str(&format!("  {}={}", clean(name), clean(value)));
    }
    text
}

/// Returns a prefix of a digest that distinguishes it from others.
pub fn short_digest(digest: &ComponentDigest) -> String {
    digest.to_string().chars().take("sha256:".len() + 12).collect()
}

/// Formats a number of events: `1 event`, `2 events`.
pub fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{} events", grouped(count)) }
}

/// Formats a time that may be missing.
pub fn time(time: Option<Time>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// Formats a pause, with its note if there is one.
pub fn paused(pause: Option<&Pause>) -> Option<String> {
    let note = &pause?.note;
    Some(if note.is_empty() { "paused".to_owned() } else { format!("paused: {}", clean(note)) })
}

/// Formats a text on at most `most` characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
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

/// Builds a run with the given fields.
#[cfg(test)]
pub fn test_run(more: &serde_json::Value) -> Run<'static> {
    let mut json = serde_json::json!({
        "id": "0".repeat(26), "deployment": "d", "revision": 1, "export": "workflow", "priority": 5, "attempt": 1,
        "component": format!("sha256:{}", "0".repeat(64)), "state": "queued", "trigger": { "kind": "manual" },
        "generation": 1, "created_at": "2026-01-01T00:00:00Z", "fuel": 0, "peak_memory": 0,
    });
    if let (Some(json), Some(more)) = (json.as_object_mut(), more.as_object()) {
        json.extend(more.clone());
    }
    serde_json::from_value(json).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(
            (bytes(10), bytes(1536), bytes(1 << 20), bytes(5 << 30)),
            ("10 B".into(), "1.5 KiB".into(), "1.0 MiB".into(), "5.0 GiB".into())
        );
        assert_eq!((events(1), events(1_200)), ("1 event".into(), "1,200 events".into()));
    }

    #[test]
    fn a_trigger_is_shown_with_its_name() {
        let of = |json: &str| trigger(&serde_json::from_str(json).unwrap());
        assert_eq!(of(r#"{"kind": "manual"}"#), "manual");
        assert_eq!(of(r#"{"kind": "schedule", "name": "often", "at": "2026-01-01T00:00:00Z"}"#), "schedule often");
    }

    #[test]
    fn a_wait_is_formatted_as_text() {
        let text = |json: &str| wait(&serde_json::from_str(json).unwrap());
        let run = |digit: &str| digit.repeat(26);
        assert_eq!(
            text(&format!(
                r#"{{"any_of": [{{"signal": "paid"}}, {{"run": "{}"}}], "until": "2026-01-01T00:00:00Z"}}"#,
                run("0")
            )),
            format!("signal paid or run {}, until 2026-01-01T00:00:00.000Z", run("0"))
        );
        assert_eq!(text(r#"{"until": "2026-01-01T00:00:00Z"}"#), "until 2026-01-01T00:00:00.000Z");
        let many: Vec<_> = (0..5).map(|_| r#"{"signal": "s"}"#).collect();
        assert_eq!(
            text(&format!(r#"{{"all_of": [{}]}}"#, many.join(","))),
            "signal s and signal s and signal s and 2 more"
        );
        assert_eq!(text(r#"{"any_of": [{"signal": "s"}], "more": 3996}"#), "signal s or 3,996 more");
    }
}
