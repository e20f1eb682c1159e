//! `tidemill serve`: runs the host until it is told to end.

use super::process::Process;
use super::settings::{SettingFlags, Settings};
use super::signals::{Signals, StopRequest};
use super::{files, logging};
use crate::cli::GlobalArgs;
use crate::error::CliError;
use crate::printer::Printer;

/// How to run it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Flags win over TIDEMILL_* variables, those over tidemill-host.toml, that over the defaults.\n\
    SIGTERM and Ctrl-C end it gracefully; a second Ctrl-C ends it at once. SIGHUP reads the policy again.")]
pub struct Args {
    #[command(flatten)]
    flags: SettingFlags,

    /// Show every setting with where it came from, and end
    #[arg(long)]
    print_config: bool,
}

/// Carries it out.
pub async fn run(args: Args, shared: &GlobalArgs, printer: &Printer) -> Result<(), CliError> {
    let settings = Settings::read(&args.flags, shared.token_file.as_deref(), &|name| std::env::var(name).ok())?;
    if args.print_config {
        printer.rows(&settings.shown, "");
        return Ok(());
    }
    logging::start(&settings.log, settings.log_json, printer)?;
    files::keep_private();
    let mut signals = Signals::new()?;
    if settings.policy.is_some() {
        signals.take_hangup()?;
    }
    let process = tokio::select! {
        process = Process::start(&settings) => process?,
        () = signals.next() => return Ok(()),
    };
    tracing::info!(address = %process.address, data = %settings.data.display(), node = %settings.node, "the host is up");
    printer.note(&format!("tidemill is up at {}", process.url()));
    while signals.next_request().await == StopRequest::Reload {
        process.reload_policy().await;
    }
    printer.note("ending; Ctrl-C again ends it at once");
    end(process, &mut signals).await;
    tracing::info!("the host has ended");
    Ok(())
}

/// Ends a host gracefully, or at once where Ctrl-C is pressed again. Nothing acknowledged is lost by that.
pub async fn end(process: Process, signals: &mut Signals) {
    tokio::select! {
        () = process.stop() => {}
        () = signals.next_interrupt() => {
            tracing::warn!("ended at once");
            exit_at_once();
        }
    }
}

#[expect(clippy::exit, reason = "asked for twice: threads that still work are not waited for")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
