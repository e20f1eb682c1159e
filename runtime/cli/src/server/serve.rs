//! `tidemill serve`: runs the host until a signal ends it.

use super::process::Process;
use super::settings::{SettingFlags, Settings};
use super::signals::{Signals, StopRequest};
use super::{files, logging};
use crate::error::CliError;
use crate::globals::GlobalArgs;
use crate::printer::Printer;

/// Arguments of `tidemill serve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Flags override TIDEMILL_* variables, which override tidemill-host.toml, which overrides the defaults.\n\
    SIGTERM and Ctrl-C shut the host down gracefully; a second Ctrl-C ends it at once. SIGHUP reloads the policy and the alerts."
)]
pub struct ServeArgs {
    #[command(flatten)]
    flags: SettingFlags,

    /// Show every setting with its origin, and exit
    #[arg(long)]
    print_config: bool,
}

/// Runs the command.
pub async fn run(args: ServeArgs, shared: &GlobalArgs, printer: &Printer) -> Result<(), CliError> {
    let settings = Settings::read(&args.flags, shared.token_file.as_deref(), &|name| std::env::var(name).ok())?;
    if args.print_config {
        printer.rows(&settings.shown, "");
        return Ok(());
    }
    logging::start(&settings.log, settings.log_json, printer)?;
    files::keep_private();
    files::keep_memory_private();
    let mut signals = Signals::new()?;
    if settings.policy.is_some() || settings.alerts.is_some() {
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
        process.reload_alerts();
    }
    printer.note("shutting down; Ctrl-C again ends the host at once");
    end(process, &mut signals).await;
    tracing::info!("the host has ended");
    Ok(())
}

/// Shuts a host down gracefully, or at once if Ctrl-C is pressed again. Acknowledged work is never
/// lost.
pub async fn end(process: Process, signals: &mut Signals) {
    tokio::select! {
        () = process.stop() => {}
        () = signals.next_interrupt() => {
            tracing::warn!("the host was ended without a graceful shutdown");
            exit_at_once();
        }
    }
}

#[expect(clippy::exit, reason = "a second signal must not wait for threads")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
