//! `tidemill runs journal ID`: shows the recorded results from which a run resumes.

use tidemill_api_types::JournalEntry;
use tidemill_core::wire::grouped;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::{bytes, cut};

/// Maximum length of a result or a request on a line, in characters.
const SHOWN: usize = 60;

/// Arguments of `tidemill runs journal`.
#[derive(Debug, clap::Args)]
pub struct RunJournalArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN")]
    id: String,

    /// Show only entries after this one
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,

    /// Maximum number of entries
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

/// Runs the command.
pub async fn run(args: &RunJournalArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.id, client).await?;
    let entries = read(client, &id, args.after, args.limit as usize).await?;
    printer.rows(
        &entries,
        "the journal is empty: the run has not started, made no recorded call, or committed as a whole",
    );
    Ok(())
}

/// Reads the entries of a run's journal after the sequence number `after`.
pub async fn read(
    client: &Client,
    id: &str,
    after: u64,
    most: usize,
) -> Result<Vec<Record<JournalEntry<'static>>>, CliError> {
    let path = format!("/v1/runs/{}/journal", encoded(id));
    client.list_from(&path, &format!("&after={after}"), most).await
}

fn kind(entry: &JournalEntry<'_>) -> String {
    match entry.attempt {
        Some(attempt) if attempt > 1 => format!("{}, attempt {attempt}", entry.kind),
        _ => entry.kind.to_string(),
    }
}

/// Formats the request and the result.
fn shown(entry: &JournalEntry<'_>) -> String {
    let request = entry.request.clone().unwrap_or_default();
    let result = entry.result.as_ref().map(|result| format!("→ {}", result.to_value())).unwrap_or_default();
    cut(format!("{request} {result}").trim(), SHOWN)
}

/// Formats an entry as one line.
pub fn line(entry: &JournalEntry<'_>) -> String {
    let (seq, step) = (format!("{:>5}", entry.seq), entry.step.to_string());
    let parts = [seq, entry.at.to_string(), kind(entry), step, shown(entry)];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
}

impl Row for JournalEntry<'_> {
    const HEADS: &'static [&'static str] = &["SEQ", "AT", "WHAT", "STEP", "FUEL", "SIZE", "REQUEST → RESULT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.at.to_string(),
            kind(self),
            self.step.to_string(),
            grouped(self.fuel),
            bytes(self.size),
            shown(self),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_entry_is_a_line() {
        let entry = |more: Value| -> JournalEntry<'static> {
            let mut json = json!({ "seq": 3, "kind": "step-done", "at": "2026-01-01T00:00:00Z", "fuel": 7, "size": 4 });
            json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(json).unwrap()
        };
        let done = entry(json!({ "step": "charge", "result": "ch_1" }));
        assert_eq!(line(&done), "    3  2026-01-01T00:00:00.000Z  step-done  charge  → \"ch_1\"");
        assert_eq!(entry(json!({ "kind": "step-begun", "attempt": 2 })).cells()[2], "step-begun, attempt 2");
        assert_eq!(shown(&entry(json!({ "request": "ü".repeat(100) }))).chars().count(), SHOWN + 1);
    }
}
