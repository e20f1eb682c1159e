//! `tidemill silences create`: silences alerts until a time.

use tidemill_api_types::{Silence, SilenceRequest, Time};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::wire::parse_span;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill silences create`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An alert must match all that is named. The notice that an alert is over is sent all the same.\n\
                        Example: tidemill silences create --deployment shop --for 2h --note \"the provider moves\""
)]
pub struct SilenceCreateArgs {
    #[command(flatten)]
    matcher: MatcherArgs,

    #[command(flatten)]
    end: EndArgs,

    /// The reason
    #[arg(long)]
    note: String,

    /// Who creates it; `operator` if left out
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

/// What a silence matches: at least one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct MatcherArgs {
    /// Silence alerts of this rule
    #[arg(long, short, value_name = "NAME")]
    rule: Option<String>,

    /// Silence alerts about this deployment, or about those whose names begin so: `team-*`
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Silence alerts with this severity
    #[arg(long, value_parser = ["page", "ticket"])]
    severity: Option<String>,
}

/// When a silence ends.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct EndArgs {
    /// Time until it ends, such as 2h; at most 90 days
    #[arg(long = "for", value_name = "TIME", value_parser = end_after)]
    duration: Option<Time>,

    /// When it ends, such as 2026-11-29T14:00:00Z; within 90 days
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<Time>,
}

/// Returns the time after a span, such as `2h`.
fn end_after(text: &str) -> Result<Time, String> {
    let span = parse_span(text).ok().and_then(|span| u64::try_from(span.as_millis()).ok());
    let millis = span.ok_or("write a span of time with its unit, such as 2h or 3days")?;
    Ok(SystemClock.now().plus_millis(millis).into())
}

/// Runs the command.
pub async fn run(args: &SilenceCreateArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let SilenceCreateArgs { matcher, end, note, actor } = args;
    let Some(ends) = end.duration.or(end.until) else {
        return Err(CliError::usage("the silence has no end", "name it with --for or --until"));
    };
    let request = SilenceRequest {
        rule: matcher.rule.clone(),
        deployment: matcher.deployment.clone(),
        severity: matcher.severity.clone(),
        ends,
        note: note.clone(),
        actor: actor.clone(),
    };
    let silence: Record<Silence<'static>> = client.post_json("/v1/silences", &request).await?;
    printer.record(&silence, &format!("{} silences until {}", clean(&silence.id), silence.ends));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_gives_an_end_in_the_future() {
        assert!(end_after("2h").unwrap().0 > SystemClock.now());
        for text in ["", "2", "soon", "-1h"] {
            assert!(end_after(text).is_err(), "{text}");
        }
    }
}
