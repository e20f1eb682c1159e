//! `tidemill deployments breaker`: shows the circuit breaker of a deployment, and decides who
//! controls it.

use reqwest::Method;
use tidemill_api_types::{Breaker, BreakerRequest};
use tidemill_core::breaker::BreakerMode;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill deployments breaker`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without an option, shows the breaker. A decision needs a note, and holds over revisions and restarts until the next one."
)]
pub struct DeploymentBreakerArgs {
    /// The deployment
    name: String,

    #[command(flatten)]
    decision: DecisionArgs,

    /// The reason, kept with the decision
    #[arg(long, requires = "decision")]
    note: Option<String>,
}

/// At most one decision.
#[derive(Debug, clap::Args)]
#[group(id = "decision", multiple = false, requires = "note")]
struct DecisionArgs {
    /// Start no runs until the next decision
    #[arg(long)]
    force_open: bool,

    /// Start runs whatever their outcomes are, and count the outcomes
    #[arg(long)]
    force_closed: bool,

    /// Start runs whatever their outcomes are, and count nothing
    #[arg(long)]
    disable: bool,

    /// Let the outcomes of attempts decide again
    #[arg(long)]
    auto: bool,
}

impl DecisionArgs {
    fn mode(&self) -> Option<BreakerMode> {
        let modes = [
            (self.force_open, BreakerMode::ForcedOpen),
            (self.force_closed, BreakerMode::ForcedClosed),
            (self.disable, BreakerMode::Disabled),
            (self.auto, BreakerMode::Automatic),
        ];
        modes.into_iter().find_map(|(chosen, mode)| chosen.then_some(mode))
    }
}

/// Runs the command.
pub async fn run(args: &DeploymentBreakerArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/deployments/{}/breaker", encoded(&args.name));
    let breaker: Record<Breaker<'static>> = match args.decision.mode() {
        None => client.get(&path).await?,
        Some(mode) => {
            let request =
                BreakerRequest { mode: mode.as_str().to_owned(), note: args.note.clone().unwrap_or_default() };
            let body = serde_json::to_vec(&request).unwrap_or_default();
            client.ask(Method::PUT, &path, body, &[]).await?
        }
    };
    printer.record(&breaker, &text(&args.name, &breaker));
    Ok(())
}

fn text(name: &str, breaker: &Breaker<'_>) -> String {
    let until = breaker.until.map_or_else(String::new, |until| format!(" until {until}"));
    let mut lines = vec![
        format!("{name}: circuit breaker {} since {}{until}", breaker.state, breaker.since),
        format!("  why       {}", clean(&breaker.reason)),
    ];
    if breaker.attempts > 0 {
        let slow = if breaker.slow > 0 { format!(", {} slow", breaker.slow) } else { String::new() };
        lines.push(format!("  attempts  {} judged, {} failed{slow}", breaker.attempts, breaker.failed));
    }
    if let Some(decision) = &breaker.decision {
        lines.push(format!("  decision  {} since {}: {}", decision.mode, decision.since, clean(&decision.note)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use tidemill_api_types::BreakerDecision;
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn a_breaker_is_shown_with_its_figures_and_the_last_decision() {
        let since = Timestamp::from_millis(1_767_571_200_000).into();
        let decision = BreakerDecision { mode: "automatic".into(), since, note: "the provider is back".into() };
        let breaker = Breaker {
            state: "open".into(),
            mode: "automatic".into(),
            since,
            until: Some(Timestamp::from_millis(1_767_571_260_000).into()),
            reason: "12 of the last 20 attempts failed".into(),
            attempts: 20,
            failed: 12,
            slow: 0,
            decision: Some(decision),
        };
        let expected = "uptime: circuit breaker open since 2026-01-05T00:00:00.000Z until 2026-01-05T00:01:00.000Z\n  \
                        why       12 of the last 20 attempts failed\n  \
                        attempts  20 judged, 12 failed\n  \
                        decision  automatic since 2026-01-05T00:00:00.000Z: the provider is back";
        assert_eq!(text("uptime", &breaker), expected);
    }
}
