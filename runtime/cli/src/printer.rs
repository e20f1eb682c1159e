//! Output of commands: results to stdout, as a table or as JSON; progress, warnings and errors to
//! stderr.
//!
//! The only file that writes to either. If stdout is closed early (`tidemill runs list | head`),
//! the rest is dropped.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::wire::text;

use crate::error::CliError;
use crate::terminal::Terminal;

/// One row of a table, which is also one element of the JSON list.
pub trait Row: Serialize {
    /// The column headings.
    const HEADS: &'static [&'static str];
    /// One cell per heading.
    fn cells(&self) -> Vec<String>;
}

/// Writes to stdout and stderr.
#[derive(Debug, Clone)]
pub struct Printer {
    json: bool,
    quiet: bool,
    colour: bool,
    /// True if stderr is a log of JSON lines.
    log_json: Arc<AtomicBool>,
}

impl Printer {
    /// `json` writes results as JSON; `quiet` omits progress and warnings.
    pub fn new(json: bool, quiet: bool) -> Self {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, quiet, colour, log_json: Arc::default() }
    }

    /// From now on, writes every line of stderr as JSON, in the format of a host's log.
    pub fn log_as_json(&self) {
        self.log_json.store(true, Ordering::Relaxed);
    }

    fn logs_json(&self) -> bool {
        self.log_json.load(Ordering::Relaxed)
    }

    /// Writes a line of JSON to stderr, in the format of the host's log.
    pub fn json_line(level: &str, mut fields: serde_json::Value) {
        fields["timestamp"] = crate::server::timestamp().into();
        fields["level"] = level.into();
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "{}", text::json(&fields.to_string()));
    }

    /// Returns whether results are JSON.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a list. If it is empty, prints `nothing` for people: what is missing, and how to get
    /// some.
    pub fn rows<R: Row>(&self, rows: &[R], nothing: &str) {
        if self.json {
            self.value(&rows);
        } else if rows.is_empty() {
            self.note(nothing);
        } else {
            write_line(&match Terminal::of_stdout(SystemClock.now()) {
                Some(terminal) => terminal.table(R::HEADS, &cells(rows)),
                None => table(rows),
            });
        }
    }

    /// Prints a record, as JSON in both modes.
    pub fn value<T: Serialize + ?Sized>(&self, value: &T) {
        // The value came from JSON, or derives its form, so it cannot fail.
        write_line(&text::json(&serde_json::to_string_pretty(value).unwrap_or_default()));
    }

    /// Prints a record; `text` is its short form for people.
    pub fn record<T: Serialize + ?Sized>(&self, value: &T, text: &str) {
        if self.json { self.value(value) } else { self.line(text) }
    }

    /// Prints one item of a stream: compact JSON, or `text`.
    pub fn item<T: Serialize + ?Sized>(&self, value: &T, text: &str) {
        if self.json {
            write_line(&text::json(&serde_json::to_string(value).unwrap_or_default()));
        } else {
            self.line(text);
        }
    }

    /// Prints a result, without terminal control characters.
    pub fn line(&self, text: &str) {
        write_line(&text::lines(text));
    }

    /// Prints a JSON text, with terminal control characters escaped.
    pub fn json_text(&self, text: &str) {
        write_line(&text::json(text));
    }

    /// Prints a result, byte for byte.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes);
        let _ = out.flush();
    }

    /// Prints bytes that a guest chose: unchanged to a file or another program, without control
    /// characters to a terminal.
    pub fn untrusted(&self, bytes: &[u8]) {
        if std::io::stdout().is_terminal() {
            self.line(&String::from_utf8_lossy(bytes));
        } else {
            self.bytes(bytes);
        }
    }

    /// As [`Printer::untrusted`], for a part of a text that ends with its last line break.
    pub fn untrusted_lines(&self, lines: &[u8]) {
        if std::io::stdout().is_terminal() {
            self.bytes(text::lines(&String::from_utf8_lossy(lines)).as_bytes());
        } else {
            self.bytes(lines);
        }
    }

    /// Prints a question; the user types the answer after it.
    pub fn prompt(&self, question: &str) {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "{}", text::lines(question));
        let _ = out.flush();
    }

    /// Prints progress.
    pub fn note(&self, text: &str) {
        if self.logs_json() {
            Self::json_line("INFO", json!({ "message": text }));
        } else if !self.quiet {
            self.to_stderr(&text::lines(text));
        }
    }

    /// Prints a warning; the command continues.
    pub fn warn(&self, text: &str) {
        if self.logs_json() {
            Self::json_line("WARN", json!({ "message": text }));
        } else if !self.quiet {
            self.to_stderr(&format!("{} {}", self.head("warning:", "33"), text::lines(text)));
        }
    }

    /// Prints the error that ends the command.
    pub fn error(&self, error: &CliError) {
        if self.logs_json() {
            let fields = json!({ "message": error.to_string(), "fix": error.fix(), "code": error.code() });
            return Self::json_line("ERROR", fields);
        }
        let mut text = format!("{} {}", self.head("error:", "31"), text::lines(&error.to_string()));
        if let Some(fix) = error.fix() {
            text.push_str(&format!("\n{} {}", self.head("fix:", "36"), text::lines(&fix)));
        }
        if let Some(code) = error.code() {
            let code = clean(code);
            text.push_str(&format!("\n{} {code} (`tidemill explain {code}`)", self.head("code:", "36")));
        }
        self.to_stderr(&text);
    }

    fn head(&self, word: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[1;{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }

    fn to_stderr(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "{text}");
    }
}

fn write_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.write_all(b"\n");
    let _ = out.flush();
}

/// Formats columns with two spaces in between and no lines, so that other programs can parse it
/// too.
fn table<R: Row>(rows: &[R]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(R::HEADS);
    for row in cells(rows) {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Returns the cells of each row, without terminal control characters.
fn cells<R: Row>(rows: &[R]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.cells().iter().map(|cell| clean(cell)).collect()).collect()
}

/// Returns one line of a guest's text, without terminal control characters.
pub fn clean(text: &str) -> String {
    text::one_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Fruit(&'static str, u32);

    impl Row for Fruit {
        const HEADS: &'static [&'static str] = &["NAME", "COUNT"];
        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn a_table_is_columns_and_nothing_else() {
        assert_eq!(table(&[Fruit("apple", 3), Fruit("fig", 12)]), "NAME   COUNT\napple  3\nfig    12");
    }

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
