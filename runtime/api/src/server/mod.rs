//! Accepts connections, decides which of them to serve, and ends them in order.
//!
//! Every resource that a peer holds has a bound, with or without a token: the number of connections
//! in all and for each peer, the time for a request's head, and the rate at which an answer is
//! read. A connection beyond those bounds does not wait: it gets `503`, unless it requests
//! `/healthz` or `/readyz`.

mod connection;
mod paced;
pub mod peer;
mod places;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tidemill_core::clock::Stopwatch;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::config::{ApiConfig, HEADER_BYTES, PROBE_CONNECTIONS, URL_BYTES};
use connection::Connection;
use peer::Peer;
use places::ConnectionLimiter;

/// Bytes that a connection buffers of a request's head. This is more than the allowed size, so that
/// a larger head is refused with a problem instead of a closed connection.
const BUFFER: usize = 2 * (HEADER_BYTES + URL_BYTES);
/// Pause after an error of `accept` that the peer did not cause, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Minimum interval between two log lines of one kind.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Timeout for the head of a request on a connection that is reserved for probes.
const PROBE_HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves `router` until `stop` completes. Then accepts no more connections, lets requests finish
/// for at most `within`, and closes the rest. `probes` serves the connections beyond the bounds.
pub async fn serve(
    listener: TcpListener,
    (router, probes): (Router, Router),
    config: &ApiConfig,
    closing: &watch::Sender<bool>,
    stop: impl Future<Output = ()>,
    within: Duration,
) {
    let full = Arc::new(builder(config.header_timeout));
    let mut probe_only = builder(PROBE_HEADER_TIMEOUT.min(config.header_timeout));
    probe_only.keep_alive(false);
    let probe_only = Arc::new(probe_only);
    let places = ConnectionLimiter::new(config.connections, config.connections_per_peer);
    let (mut open, mut reserve) = (JoinSet::new(), ProbeConnections::default());
    let (mut refused, mut failed) = (LogPace::default(), LogPace::default());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                if let Some(times) = failed.due() {
                    tracing::warn!(%cause, times, "cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = Peer::new(address.ip());
        let connection = Connection { socket, peer: peer.clone(), write_timeout: config.write_timeout };
        match places.take(peer.network()) {
            Some(place) => {
                let (full, router, closing) = (Arc::clone(&full), router.clone(), closing.subscribe());
                let stranger_timeout = config.stranger_timeout;
                open.spawn(async move {
                    connection.serve(&full, router, closing, stranger_timeout).await;
                    drop(place);
                });
            }
            None => {
                if let Some(times) = refused.due() {
                    tracing::warn!(peer = %address.ip(), times, "refused connections beyond the maximum");
                }
                let (probe_only, probes, closing) = (Arc::clone(&probe_only), probes.clone(), closing.subscribe());
                reserve.add(open.spawn(async move {
                    connection.serve(&probe_only, probes, closing, PROBE_HEADER_TIMEOUT).await;
                }));
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let rest = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(within, rest).await.is_err() {
        tracing::warn!(connections = open.len(), "closed connections with unfinished requests");
    }
    open.shutdown().await;
}

fn builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(BUFFER);
    builder
}

/// Connections beyond the maximum, oldest first. A new one replaces the oldest, so that idle
/// connections cannot keep a probe out.
#[derive(Default)]
struct ProbeConnections(VecDeque<AbortHandle>);

impl ProbeConnections {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|open| !open.is_finished());
        if self.0.len() >= PROBE_CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

/// Limits how often a log line is written.
#[derive(Default)]
struct LogPace {
    last: Option<Stopwatch>,
    times: u64,
}

impl LogPace {
    /// Counts one occurrence. Returns the number since the last line if a line is due.
    fn due(&mut self) -> Option<u64> {
        self.times += 1;
        if self.last.as_ref().is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            return None;
        }
        self.last = Some(Stopwatch::start());
        Some(std::mem::take(&mut self.times))
    }
}
