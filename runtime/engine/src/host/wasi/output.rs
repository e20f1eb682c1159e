//! Standard output and standard error as lines of the run's log. A write never waits and never
//! fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::guest::fuel::account::WasiDebt;
use crate::guest::run_log::{RunLog, Stream};

/// Maximum size of one write, in bytes: each byte can be a line, and a guest yields only between
/// calls. WASI sets the same maximum for its blocking writes.
const WRITE_BYTES: usize = 4 * 1024;

/// One of the two streams.
#[derive(Clone)]
pub(super) struct StandardStream {
    log: Arc<RunLog>,
    owed: WasiDebt,
    stream: Stream,
}

impl StandardStream {
    pub(super) const fn new(log: Arc<RunLog>, owed: WasiDebt, stream: Stream) -> Self {
        Self { log, owed, stream }
    }
}

impl IsTerminal for StandardStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StandardStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for StandardStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for StandardStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES {
            return Err(StreamError::trap(&format!(
                "{} bytes were written to a stream in one call; `check-write` allows {WRITE_BYTES}",
                bytes.len()
            )));
        }
        self.owed.bytes(bytes.len());
        self.log.write_stream(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for StandardStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.owed.bytes(bytes.len());
        self.log.write_stream(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
