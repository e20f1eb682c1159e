//! `tidemill runs journal ID`: shows the recorded results from which a run resumes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::wire::{bytes, grouped};

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
pub async fn read(client: &Client, id: &str, after: u64, most: usize) -> Result<Vec<Entry>, CliError> {
    let path = format!("/v1/runs/{}/journal", encoded(id));
    client.list_from(&path, &format!("&after={after}"), most).await
}

/// An entry of a journal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    seq: u64,
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    at: String,
    fuel: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Entry {
    fn kind(&self) -> String {
        match self.attempt {
            Some(attempt) if attempt > 1 => format!("{}, attempt {attempt}", self.kind),
            _ => self.kind.clone(),
        }
    }

    fn shown(&self) -> String {
        let request = self.request.clone().unwrap_or_default();
        let result = self.result.as_ref().map(|result| format!("→ {result}")).unwrap_or_default();
        cut(format!("{request} {result}").trim())
    }

    /// Formats the entry as one line.
    pub fn text(&self) -> String {
        let parts = [format!("{:>5}", self.seq), self.at.clone(), self.kind(), self.step.clone(), self.shown()];
        parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl Row for Entry {
    const HEADS: &'static [&'static str] = &["SEQ", "AT", "WHAT", "STEP", "FUEL", "SIZE", "REQUEST → RESULT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.at.clone(),
            self.kind(),
            self.step.clone(),
            grouped(self.fuel),
            bytes(self.size),
            self.shown(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line() {
        let entry: Entry = serde_json::from_str(
            r#"{"seq": 3, "kind": "step-done", "step": "charge", "at": "T", "fuel": 7, "size": 4, "result": "ch_1", "more": 1}"#,
        )
        .unwrap();
        assert_eq!(entry.text(), "    3  T  step-done  charge  → \"ch_1\"");
        assert_eq!(serde_json::to_value(&entry).unwrap()["more"], 1);
        let again = Entry { kind: "step-begun".into(), attempt: Some(2), ..Entry::default() };
        assert_eq!(again.cells()[2], "step-begun, attempt 2");
        let long = Entry { request: Some("ü".repeat(100)), ..Entry::default() };
        assert_eq!(long.shown().chars().count(), SHOWN + 1);
    }
}
