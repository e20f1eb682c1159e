//! Rows of what was measured, as a Markdown table.

use std::fmt;

/// What was measured, the figure, and what it is held against.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    pub fn row(&mut self, what: impl Into<String>, figure: impl Into<String>, goal: impl Into<String>) {
        let row = [what.into(), figure.into(), goal.into()];
        eprintln!("{}: {} ({})", row[0], row[1], row[2]);
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| measured | figure | goal |\n|---|---|---|")?;
        self.0.iter().try_for_each(|[what, figure, goal]| writeln!(f, "| {what} | {figure} | {goal} |"))
    }
}
