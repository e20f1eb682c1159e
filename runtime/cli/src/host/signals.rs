//! SIGTERM and Ctrl-C: the first asks for a graceful end, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Waits for the signals that end a host.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over both signals.
    ///
    /// # Errors
    /// Where the machine does not allow it.
    pub fn new() -> Result<Self, CliError> {
        let take = |kind| signal(kind).map_err(|cause| CliError::machine("cannot wait for signals", &cause));
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    /// The next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next Ctrl-C, for whoever has begun to end already.
    pub async fn next_interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}
