//! SIGTERM and Ctrl-C: the first asks for a graceful end, the second ends the process at once. SIGHUP has the policy read
//! again, if the host has one.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Waits for the signals that end a host.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// To end.
    End,
    /// To read the policy again.
    Reload,
}

impl Signals {
    /// Takes over both signals.
    ///
    /// # Errors
    /// Where the machine does not allow it.
    pub fn new() -> Result<Self, CliError> {
        let take = |kind| signal(kind).map_err(|cause| CliError::machine("cannot wait for signals", &cause));
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())?, hangup: None })
    }

    /// Takes over SIGHUP too, which would end the process.
    ///
    /// # Errors
    /// If the machine does not allow it.
    pub fn take_hangup(&mut self) -> Result<(), CliError> {
        let taken =
            signal(SignalKind::hangup()).map_err(|cause| CliError::machine("cannot wait for signals", &cause))?;
        self.hangup = Some(taken);
        Ok(())
    }

    /// The next signal.
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
