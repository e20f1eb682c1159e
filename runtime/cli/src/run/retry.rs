//! `tidemill runs retry ID…`: retries some parked or failed runs, or many.

use serde_json::{Value, json};

use super::selector::RunSelector;
use crate::client::Client;
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
    let show = if args.dry_run { look } else { super::stands };
    super::each(&super::reference::ids(&args.which.ids, client).await?, "retry", &args.body(), client, printer, show)
        .await
}

impl RunRetryArgs {
    fn body(&self) -> String {
        let mut body = serde_json::Map::new();
        let mut say = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if self.from_start {
            say("from", json!("start"));
        }
        if let Some(component) = &self.component {
            say("component", json!(component));
        }
        if self.dry_run {
            say("dry_run", json!(true));
        }
        if body.is_empty() { String::new() } else { Value::Object(body).to_string() }
    }
}

/// Shows whether a component could resume a run.
fn look(id: &str, answer: &Value, printer: &Printer) -> Result<(), CliError> {
    if answer["continues"] == true {
        printer.record(answer, &format!("{id} can be resumed"));
        return Ok(());
    }
    printer.record(answer, &format!("{id} cannot be resumed"));
    let text = |name: &str| clean(answer["failure"][name].as_str().unwrap_or_default());
    Err(CliError::Failed {
        code: Some(text("code")).filter(|code| !code.is_empty()),
        message: format!("the component cannot resume run {id}: {}", text("message")),
        fix: Some("retry it on its own component, or from the start with --from-start".to_owned()),
    })
}
