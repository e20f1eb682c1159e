//! Formats tables for a terminal: fits the width, shows relative times and colours states. Other
//! output is unchanged, so that programs read whole values.

use std::io::IsTerminal as _;

use tidemill_core::Timestamp;

use crate::when::relative;

/// Number of spaces between two columns.
const GAP: usize = 2;
/// Minimum width of a column, in characters.
const LEAST: usize = 8;
/// Width if the terminal does not report one, in characters.
const DEFAULT_WIDTH: usize = 80;

/// The terminal of stdout.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    colour: bool,
    now: Timestamp,
}

impl Terminal {
    /// Returns the terminal; `None` if stdout is not a terminal.
    pub fn of_stdout(now: Timestamp) -> Option<Self> {
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Some(Self { width, colour: std::env::var_os("NO_COLOR").is_none(), now })
    }

    /// Formats a table. Each row must have one cell per heading.
    pub fn table(self, heads: &[&str], rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| self.shown(cell)).collect()).collect();
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(heads.get(column).map(|head| head.chars().count())).max().unwrap_or(0)
        };
        let mut widths: Vec<_> = (0..heads.len()).map(widest).collect();
        // The first column identifies the row and is never cut, so that it can be copied.
        shrink(widths.get_mut(1..).unwrap_or_default(), self.width.saturating_sub(widest(0) + GAP));
        let line = |cells: &mut dyn Iterator<Item = (usize, &str)>| {
            let mut line = String::new();
            for (column, cell) in cells {
                let width = widths.get(column).copied().unwrap_or(0);
                let text = cut(cell, width);
                let padding = width.saturating_sub(text.chars().count()) + GAP;
                line.push_str(&self.coloured(&text));
                line.extend(std::iter::repeat_n(' ', padding));
            }
            line.trim_end().to_owned()
        };
        let mut lines = vec![line(&mut heads.iter().copied().enumerate())];
        lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str).enumerate())));
        lines.join("\n")
    }

    fn shown(self, cell: &str) -> String {
        match Timestamp::parse_rfc3339(cell) {
            Some(time) => relative(time, self.now),
            None => cell.to_owned(),
        }
    }

    fn coloured(self, cell: &str) -> String {
        let colour = match cell.split([' ', ',', ':']).next().unwrap_or_default() {
            "failed" | "parked" | "missed" | "!!" => "31",
            "succeeded" | "active" | "ok" => "32",
            "running" | "suspended" => "36",
            "paused" | "cancelled" | "late" | "disabled" => "33",
            _ => return cell.to_owned(),
        };
        if self.colour { format!("\x1b[{colour}m{cell}\x1b[0m") } else { cell.to_owned() }
    }
}

/// Narrows columns, the widest first, until they fit in `room` with their gaps, or have the minimum
/// width.
fn shrink(widths: &mut [usize], room: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let total: usize = widths.iter().sum();
    let mut over = (total + gaps).saturating_sub(room);
    while over > 0 {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > LEAST) else { return };
        *widest -= 1;
        over -= 1;
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terminal(width: usize) -> Terminal {
        Terminal { width, colour: false, now: Timestamp::parse_rfc3339("2026-11-29T12:00:00Z").unwrap() }
    }

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn a_table_fits_the_terminal_and_times_are_relative() {
        let rows = [
            row(&["01kakq3vj6x0cm4kd9be2f7h1n", "hello", "2026-11-29T11:57:00.000Z", "a reason that is much too long"]),
            row(&["01kakq3vj6x0cm4kd9be2f7h1p", "b", "2026-11-29T12:00:00.000Z", ""]),
        ];
        let text = terminal(60).table(&["RUN", "DEPLOYMENT", "CREATED", "WHY"], &rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "01kakq3vj6x0cm4kd9be2f7h1n  hello       3m ago   a reason t…");
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{text}");
    }

    #[test]
    fn a_state_has_a_colour_only_if_colours_are_on() {
        let coloured = Terminal { colour: true, ..terminal(80) };
        assert_eq!(coloured.table(&["STATE"], &[row(&["failed"])]), "STATE\n\x1b[31mfailed\x1b[0m");
        assert_eq!(terminal(80).table(&["STATE"], &[row(&["failed"])]), "STATE\nfailed");
    }

    proptest! {
        #[test]
        fn any_table_is_laid_out(
            width in 0_usize..200,
            rows in prop::collection::vec(prop::collection::vec("\\PC{0,60}", 3), 0..5),
        ) {
            let text = terminal(width).table(&["A", "B", "C"], &rows);
            prop_assert!(text.lines().count() > rows.len());
        }
    }
}
