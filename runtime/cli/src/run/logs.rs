//! `tidemill logs ID`: shows a run's log, and follows it until the run ends if requested.

use tidemill_api_types::LogLine;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::text::log_line;

/// Maximum length of a line of a followed log, in bytes.
const LINE_BYTES: usize = 1 << 20;

/// Arguments of `tidemill logs`.
#[derive(Debug, clap::Args)]
pub struct RunLogsArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN")]
    id: String,

    /// Follow the log until the run ends
    #[arg(long, short)]
    follow: bool,

    /// Maximum number of lines, from the first
    #[arg(long, short = 'n', default_value_t = 100_000, conflicts_with = "follow")]
    limit: u32,
}

/// Runs the command.
pub async fn run(args: &RunLogsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/runs/{}/logs", encoded(&super::reference::id(&args.id, client).await?));
    let show = |line: &Record<LogLine<'static>>| printer.item(line, &log_line(line));
    if args.follow {
        let mut lines = LineSplitter::default();
        return client
            .follow(&format!("{path}?follow=true"), &[("accept", "application/x-ndjson")], |piece| {
                lines
                    .take(piece)
                    .iter()
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .for_each(|line| show(&line));
                true
            })
            .await;
    }
    let lines: Vec<Record<LogLine<'static>>> = client.list(&path, args.limit as usize).await?;
    if lines.is_empty() {
        printer.note("the run has logged nothing");
    }
    lines.iter().for_each(show);
    Ok(())
}

/// Splits a stream of bytes into lines, independently of its pieces.
#[derive(Debug, Default)]
pub struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Returns the lines that `piece` completes, without empty ones.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if self.begun.ends_with(b"\n") {
                self.begun.pop();
                let line = std::mem::take(&mut self.begun);
                if !line.is_empty() {
                    lines.push(line);
                }
            } else if self.begun.len() > LINE_BYTES {
                self.begun.clear();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_wherever_pieces_end() {
        let mut lines = LineSplitter::default();
        assert!(lines.take(b"{\"a\"").is_empty());
        assert_eq!(lines.take(b":1}\n\n{}\n{"), [b"{\"a\":1}".to_vec(), b"{}".to_vec()]);
        assert_eq!(lines.take(b"}\n"), [b"{}".to_vec()]);
    }
}
