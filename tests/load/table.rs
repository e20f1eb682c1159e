//! The results as a Markdown table.

use std::fmt;

/// Rows: the measurement, the figure and the goal.
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
