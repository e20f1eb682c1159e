//! `tidemill retry ID…`: tries some parked or failed runs again, or many.

use serde_json::{Value, json};

use super::which::RunSelector;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Which runs, and how.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A run goes on from its last step, and with it those of its children that are parked or have failed.\n\
                        For example: tidemill retry --parked --deployment orders --code http-status"
)]
pub struct Args {
    #[command(flatten)]
    which: RunSelector,

    /// From the start, without what they have done
    #[arg(long, conflicts_with_all = ["all", "parked"])]
    from_start: bool,

    /// On this component: sha256:…, or NAME@VERSION
    #[arg(long, value_name = "COMPONENT", conflicts_with_all = ["all", "parked"])]
    component: Option<String>,

    /// Do not ask for confirmation on a terminal
    #[arg(long, short)]
    yes: bool,

    /// Change nothing: show which of many would be tried again; of single runs, whether the component could resume
    /// them (exit code 1 if it could not)
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out: each by itself, so that one that cannot be tried again does not keep the others from it.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    args.which.check()?;
    if args.which.many() {
        let confirm = ConfirmArgs { yes: args.yes, dry_run: args.dry_run };
        return args.which.act("retry", &["parked"], confirm, client, printer).await;
    }
    let show = if args.dry_run { look } else { super::stands };
    super::each(&super::reference::ids(&args.which.ids, client).await?, "retry", &args.body(), client, printer, show)
        .await
}

impl Args {
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

/// What a look at one run showed.
fn look(id: &str, answer: &Value, printer: &Printer) -> Result<(), CliError> {
    if answer["continues"] == true {
        printer.record(answer, &format!("{id} would go on"));
        return Ok(());
    }
    printer.record(answer, &format!("{id} would not go on"));
    let text = |name: &str| clean(answer["failure"][name].as_str().unwrap_or_default());
    Err(CliError::Failed {
        code: Some(text("code")).filter(|code| !code.is_empty()),
        message: format!("the component cannot go on with run {id}: {}", text("message")),
        fix: Some("keep it on its own component, or try it from the start: --from-start".to_owned()),
    })
}
