//! Serves one connection with HTTP/1.1, and closes it so that the peer receives its last answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::paced::PacedStream;
use super::peer::Peer;
use crate::stream;

/// Maximum number of bytes of an unwanted body that are read and dropped after the last answer.
const DRAIN_BYTES: usize = 64 << 20;
/// Maximum time for reading and dropping all of them.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum pause between two pieces.
const DRAIN_PAUSE: Duration = Duration::from_secs(2);

/// An accepted connection.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) peer: Peer,
    /// See [`PacedStream::new`].
    pub(super) write_timeout: Duration,
}

impl Connection {
    /// Serves requests until either side closes or the server is `closing`. A connection without an
    /// authorized request ends after `stranger_timeout`.
    pub(super) async fn serve(
        self,
        server: &http1::Builder,
        router: Router,
        mut closing: watch::Receiver<bool>,
        stranger_timeout: Duration,
    ) {
        // Each answer is one write; Nagle's algorithm would delay it.
        if let Err(cause) = self.socket.set_nodelay(true) {
            tracing::debug!(%cause, "connection closed before it was served");
            return;
        }
        let peer = self.peer.clone();
        let service = PeerService { router: TowerToHyperService::new(router), peer: self.peer };
        let io = TokioIo::new(PacedStream::new(self.socket, self.write_timeout));
        let mut served = server.serve_connection(io, service);
        let stranger = tokio::time::sleep(stranger_timeout);
        tokio::pin!(stranger);
        let (mut timed, mut ending) = (true, false);
        let ended = loop {
            tokio::select! {
                biased;
                ended = poll_fn(|cx| served.poll_without_shutdown(cx)) => break ended,
                () = stream::closed(&mut closing), if !ending => {
                    ending = true;
                    Pin::new(&mut served).graceful_shutdown();
                }
                () = &mut stranger, if timed => {
                    timed = false;
                    if !peer.is_authorized() {
                        Pin::new(&mut served).graceful_shutdown();
                    }
                }
            }
        };
        let may_send_more = match &ended {
            Ok(()) => peer.sent_body(),
            Err(cause) => {
                tracing::debug!(%cause, "connection ended early");
                cause.is_parse()
            }
        };
        let parts = served.into_parts();
        if may_send_more || !parts.read_buf.is_empty() {
            close_gently(parts.io.into_inner().into_inner()).await;
        }
    }
}

/// Shuts down the write side, then reads and drops within bounds what the peer still sends. Closing
/// a socket with unread bytes resets the connection, and the peer may lose the answer before it
/// reads it (RFC 9112, section 9.6).
async fn close_gently(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let (mut piece, mut left) = (vec![0; 16 << 10], DRAIN_BYTES);
        while left > 0 {
            match tokio::time::timeout(DRAIN_PAUSE, socket.read(&mut piece)).await {
                Ok(Ok(read @ 1..)) => left = left.saturating_sub(read),
                _ => return,
            }
        }
    };
    // The bound is reached: reset the connection.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain).await;
}

/// Wraps the router and adds the peer to the extensions of every request.
struct PeerService {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for PeerService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.peer.set_sent_body(!request.body().is_end_stream());
        request.extensions_mut().insert(self.peer.clone());
        self.router.call(request)
    }
}
