//! `tidemill runs retry ID…`: retries some parked or failed runs, or many.

use tidemill_api_types::{RetryCheck, RetryRequest};

use super::selector::RunSelector;
use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill runs retry`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A run resumes from its last step, together with its children that are parked or have failed.\n\
                        For example: tidemill runs retry --parked --deployment orders --code http-status"
)]
pub struct RunRetryArgs {
    #[command(flatten)]
    which: RunSelector,

    /// Retry from the start, and discard what they have done
    #[arg(long, conflicts_with_all = ["all", "parked"])]
    from_start: bool,

    /// Retry on this component: sha256:…, or NAME@VERSION
    #[arg(long, value_name = "COMPONENT", conflicts_with_all = ["all", "parked"])]
    component: Option<String>,

    /// Do not ask for confirmation on a terminal
    #[arg(long, short)]
    yes: bool,

    /// Change nothing: show which of many would be retried, or whether the component could resume
    /// the given runs (exit code 1 if it could not)
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command: each run separately, so that one refusal does not affect the others.
pub async fn run(args: &RunRetryArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    args.which.check()?;
    if args.which.many() {
        let confirm = ConfirmArgs { yes: args.yes, dry_run: args.dry_run };
        return args.which.act("retry", &["parked"], confirm, client, printer).await;
    }
    let ids = super::reference::ids(&args.which.ids, client).await?;
    let request = RetryRequest {
        from: args.from_start.then(|| "start".to_owned()),
        component: args.component.clone(),
        dry_run: args.dry_run.then_some(true),
    };
    let body = serde_json::to_vec(&request).unwrap_or_default();
    if args.dry_run {
        super::each(&ids, "retry", body, client, printer, look).await
    } else {
        super::each(&ids, "retry", body, client, printer, super::show_state).await
    }
}

/// Shows whether a component could resume a run.
fn look(check: &Record<RetryCheck<'static>>, printer: &Printer) -> Result<(), CliError> {
    let Some(failure) = &check.failure else {
        printer.record(check, &format!("{} can be resumed", check.run));
        return Ok(());
    };
    printer.record(check, &format!("{} cannot be resumed", check.run));
    Err(CliError::Failed {
        code: Some(clean(&failure.code)),
        message: format!("the component cannot resume run {}: {}", check.run, clean(&failure.message)),
        fix: Some("retry it on its own component, or from the start with --from-start".to_owned()),
    })
}
