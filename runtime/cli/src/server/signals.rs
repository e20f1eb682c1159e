//! Handles SIGTERM and Ctrl-C: the first starts a graceful shutdown, the second ends the process at
//! once. SIGHUP reloads the policy and the alerts, if the host has them.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Waits for the signals that end or reload a host.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// Shut down.
    End,
    /// Reload the policy and the alerts.
    Reload,
}

impl Signals {
    /// Installs handlers for SIGTERM and Ctrl-C.
    ///
    /// # Errors
    /// If the operating system does not allow it.
    pub fn new() -> Result<Self, CliError> {
        let take = |kind| signal(kind).map_err(|cause| CliError::machine("cannot wait for signals", &cause));
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())?, hangup: None })
    }

    /// Also installs a handler for SIGHUP, which would otherwise end the process.
    ///
    /// # Errors
    /// If the operating system does not allow it.
    pub fn take_hangup(&mut self) -> Result<(), CliError> {
        let taken =
            signal(SignalKind::hangup()).map_err(|cause| CliError::machine("cannot wait for signals", &cause))?;
        self.hangup = Some(taken);
        Ok(())
    }

    /// Waits for the next signal.
    pub async fn next_request(&mut self) -> StopRequest {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => StopRequest::End,
            _ = self.interrupt.recv() => StopRequest::End,
            _ = hangup => StopRequest::Reload,
        }
    }

    /// Waits for the next SIGTERM or Ctrl-C.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the next Ctrl-C, for a process that is already shutting down.
    pub async fn next_interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}
