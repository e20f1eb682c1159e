//! Answers that go on: server-sent events, or lines of JSON, as long as the source has something to say.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tidemill_core::Code;
use tidemill_store::contract::CommitMark;
use tokio::sync::watch;

use crate::problem::{ApiResult, Problem};
use crate::state::ApiState;

/// A sign of life is sent after so long a silence.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The store is looked at no more often than this, however fast it commits.
const PACE: Duration = Duration::from_millis(40);

/// How pieces are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`.
    Lines,
}

impl Framing {
    const fn content_type(self) -> HeaderValue {
        match self {
            Self::Events => HeaderValue::from_static("text/event-stream"),
            Self::Lines => HeaderValue::from_static("application/x-ndjson"),
        }
    }

    /// One piece.
    pub fn frame<T: Serialize>(self, id: Option<u64>, event: &str, data: &T) -> Bytes {
        let mut piece = Vec::new();
        self.append(&mut piece, id, event, data);
        piece.into()
    }

    /// Adds a piece to others that are sent with it. JSON has no raw line breaks, so it is always one line.
    pub fn append<T: Serialize>(self, pieces: &mut Vec<u8>, id: Option<u64>, event: &str, data: &T) {
        let begin = pieces.len();
        match (self, id) {
            (Self::Lines, _) => {}
            (Self::Events, Some(id)) => {
                pieces.extend_from_slice(format!("id: {id}\nevent: {event}\ndata: ").as_bytes())
            }
            (Self::Events, None) => pieces.extend_from_slice(format!("event: {event}\ndata: ").as_bytes()),
        }
        if serde_json::to_writer(&mut *pieces, data).is_err() {
            return pieces.truncate(begin);
        }
        pieces.extend_from_slice(if self == Self::Events { b"\n\n" } else { b"\n" });
    }

    /// A piece that means nothing, so that a dead connection is noticed.
    #[must_use]
    pub const fn heartbeat(self) -> Bytes {
        match self {
            Self::Events => Bytes::from_static(b": still here\n\n"),
            Self::Lines => Bytes::from_static(b"\n"),
        }
    }
}

/// What an answer that goes on is made of.
pub trait StreamSource: Send + 'static {
    /// The next piece; none at the end. Waits for it.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The answer that sends what `source` has.
///
/// # Errors
/// [`Code::Overloaded`] where as many are open as may be.
pub fn answer<S: StreamSource>(state: &ApiState, framing: Framing, source: S) -> ApiResult<Response> {
    let Ok(permit) = Arc::clone(&state.feeds).try_acquire_owned() else {
        return Err(Problem::new(Code::Overloaded, "as many feeds are open as this host serves").retry_after(5));
    };
    let pieces = stream::unfold((source, permit), |(mut source, permit)| async move {
        source.next().await.map(|piece| (Ok::<_, Infallible>(piece), (source, permit)))
    });
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, framing.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies are asked not to collect it.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Why a source that waited goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeCause {
    /// Something was committed.
    Changed,
    /// Nothing was, for a while.
    Quiet,
    /// The server stops.
    Closing,
}

/// Waits for the next commit, but not for ever, and not beyond the server's end.
pub async fn wake(committed: &mut watch::Receiver<CommitMark>, closing: &mut watch::Receiver<bool>) -> WakeCause {
    let woke = tokio::select! {
        () = closed(closing) => WakeCause::Closing,
        changed = committed.changed() => if changed.is_ok() { WakeCause::Changed } else { WakeCause::Closing },
        () = tokio::time::sleep(HEARTBEAT) => WakeCause::Quiet,
    };
    if woke == WakeCause::Changed {
        tokio::time::sleep(PACE).await;
    }
    woke
}

/// Returns when the server stops.
pub async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error says that the other side is gone, which is the end as well.
    let _ = closing.wait_for(|closing| *closing).await;
}
