//! Streamed answers: server-sent events or lines of JSON, as long as their source has items.

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
use tidemill_store::kv::CommitPosition;
use tokio::sync::watch;

use crate::problem::{ApiResult, Problem};
use crate::state::ApiState;

/// Interval of silence after which a keep-alive is sent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Minimum interval between two reads of the store, whatever the rate of commits.
const PACE: Duration = Duration::from_millis(40);

/// The format of items in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`.
    Lines,
}

impl StreamFormat {
    const fn content_type(self) -> HeaderValue {
        match self {
            Self::Events => HeaderValue::from_static("text/event-stream"),
            Self::Lines => HeaderValue::from_static("application/x-ndjson"),
        }
    }

    /// Frames one item.
    pub fn frame<T: Serialize>(self, id: Option<u64>, event: &str, data: &T) -> Bytes {
        let mut piece = Vec::new();
        self.append(&mut piece, id, event, data);
        piece.into()
    }

    /// Appends an item to others that are sent together. JSON has no raw line breaks, so an item is
    /// always one line.
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

    /// Returns a keep-alive without content, so that a dead connection is noticed.
    #[must_use]
    pub const fn heartbeat(self) -> Bytes {
        match self {
            Self::Events => Bytes::from_static(b": still here\n\n"),
            Self::Lines => Bytes::from_static(b"\n"),
        }
    }
}

/// The source of a streamed answer.
pub trait StreamSource: Send + 'static {
    /// Waits for the next item; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Builds the answer that streams the items of `source`.
///
/// # Errors
/// [`Code::Overloaded`] if the maximum number of streams is open.
pub fn answer<S: StreamSource>(state: &ApiState, format: StreamFormat, source: S) -> ApiResult<Response> {
    let Ok(permit) = Arc::clone(&state.feeds).try_acquire_owned() else {
        return Err(Problem::new(Code::Overloaded, "the maximum number of streams is open").retry_after(5));
    };
    let pieces = stream::unfold((source, permit), |(mut source, permit)| async move {
        source.next().await.map(|piece| (Ok::<_, Infallible>(piece), (source, permit)))
    });
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, format.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Ask proxies not to buffer the answer.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Why a waiting source woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeCause {
    /// Something was committed.
    Changed,
    /// Nothing was committed for a while.
    Quiet,
    /// The server stops.
    Closing,
}

/// Waits for the next commit, a timeout or the end of the server.
pub async fn wake(committed: &mut watch::Receiver<CommitPosition>, closing: &mut watch::Receiver<bool>) -> WakeCause {
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
    // An error means that the sender is gone, which is the end too.
    let _ = closing.wait_for(|closing| *closing).await;
}
