//! A socket with a write timeout: a peer that does not read its answer, or reads it too slowly,
//! loses the connection.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Minimum number of bytes that the peer must take within one write timeout, unless all is written
/// earlier.
const WINDOW_BYTES: usize = 32 << 10;

/// A socket with a timeout for writes.
pub(super) struct PacedStream {
    socket: TcpStream,
    timeout: Duration,
    /// When a write first found the socket's buffer full; `None` while writes succeed.
    stall: Option<WriteStall>,
}

struct WriteStall {
    deadline: Pin<Box<Sleep>>,
    taken: usize,
}

impl PacedStream {
    /// Wraps a socket. A write fails if the peer takes less than 32 KiB within `timeout`.
    pub(super) const fn new(socket: TcpStream, timeout: Duration) -> Self {
        Self { socket, timeout, stall: None }
    }

    /// Returns the inner socket.
    pub(super) fn into_inner(self) -> TcpStream {
        self.socket
    }

    fn paced(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(stall) = &mut self.stall {
                    stall.taken += bytes;
                    if stall.taken >= WINDOW_BYTES {
                        self.stall = None;
                    }
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Pending => {
                let timeout = self.timeout;
                let begin = || WriteStall { deadline: Box::pin(tokio::time::sleep(timeout)), taken: 0 };
                let stall = self.stall.get_or_insert_with(begin);
                if stall.deadline.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // Data left in the kernel's buffer would outlive the connection by minutes.
                let _ = self.socket.set_zero_linger();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read the answer")))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.paced(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.paced(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Resets the timeout after everything is written: each answer has its own time.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
