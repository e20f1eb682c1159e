//! `tidemill health show`: shows the health of a deployment.

use std::fmt::Write as _;

use tidemill_api_types::{DeploymentHealth, HealthCheckResult, HealthSignal};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill health show`.
#[derive(Debug, clap::Args)]
pub struct HealthShowArgs {
    /// The deployment
    deployment: String,
}

/// Maximum number of results that are shown.
const RESULTS_SHOWN: usize = 5;

/// Runs the command.
pub async fn run(args: &HealthShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let health: Record<DeploymentHealth<'static>> = client.get(&super::path(&args.deployment)).await?;
    printer.record(&health, &text(&health));
    Ok(())
}

fn text(health: &DeploymentHealth<'_>) -> String {
    let summary = &health.summary;
    let mut text = format!("{} is {}", clean(&summary.deployment), clean(&summary.status));
    if let Some(since) = &summary.since {
        let _ = write!(text, " since {since}");
    }
    if let Some(reason) = &summary.reason {
        let _ = write!(text, ": {}", clean(reason));
    }
    text.push('\n');
    let per_cent = |share: Option<f64>| share.map_or("unknown".to_owned(), |share| format!("{:.3} %", share * 100.0));
    let [hour, day, month] = [health.uptime.hour, health.uptime.day, health.uptime.month].map(per_cent);
    let _ = writeln!(text, "uptime: {hour} in the last hour, {day} in 24 hours, {month} in 30 days");
    text += &match (summary.observed, &health.next) {
        (true, Some(next)) => format!("observed every {} s, next at {next}\n", health.every_ms / 1_000),
        (true, None) => "it will be observed soon\n".to_owned(),
        (false, _) => "it is not observed, because it is paused or disabled\n".to_owned(),
    };
    for objective in &health.objectives {
        let within = objective.within_ms.map_or_else(String::new, |millis| format!(" within {millis} ms"));
        let left = objective.budget_left.map_or("no attempts".to_owned(), |left| format!("{:.1} % left", left * 100.0));
        let (name, target) = (clean(&objective.name), clean(&objective.target));
        let _ = writeln!(text, "objective: {name} {target}{within}; error budget of 30 days: {left}");
    }
    for signal in &health.signals {
        text += &signal_line(signal);
    }
    if health.results.is_empty() {
        text += if health.checked { "no check has ended yet" } else { "its `health` export is not called" };
        return text;
    }
    text += "last checks:";
    for result in health.results.iter().take(RESULTS_SHOWN) {
        text += &result_line(result);
    }
    text
}

fn signal_line(signal: &HealthSignal<'_>) -> String {
    let limit = signal.limit.map(|limit| format!(" (limit {})", figure(limit))).unwrap_or_default();
    let problem = signal.problem.as_ref().map(|problem| format!(": {}", clean(problem))).unwrap_or_default();
    format!("  {:<18} {}{limit}{problem}\n", clean(&signal.name), figure(signal.value))
}

fn result_line(result: &HealthCheckResult<'_>) -> String {
    let reason = result.reason.as_ref().map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
    format!("\n  {} {} in {} ms{reason}", result.at, clean(&result.status), result.took_ms)
}

/// Returns a number with at most three decimal places.
pub(crate) fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_no_trailing_zeros() {
        for (value, text) in [(0.0, "0"), (0.5, "0.5"), (100.0, "100"), (0.0125, "0.013"), (1_200.0, "1200")] {
            assert_eq!(figure(value), text);
        }
    }
}
