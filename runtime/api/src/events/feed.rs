//! The event feed as server-sent events: it continues after the caller's position, or sends `reset`
//! if that position is gone.

use std::collections::VecDeque;
use tidemill_api_types as shapes;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use tidemill_store::StoreError;
use tidemill_store::kv::CommitPosition;
use tokio::sync::watch;

use super::json::feed_event;
use crate::problem::ApiResult;
use crate::request::{RawQuery, headers};
use crate::state::ApiState;
use crate::stream::{self, StreamFormat, StreamSource, WakeCause, wake};

/// Maximum number of events in one read.
const AT_ONCE: usize = 200;

/// Follows events of the host
///
/// Server-sent events: `run`, `deployment`, `schedule`, `subscription`, `posted`, `state` and
/// `clock`, in the order of their commits. With `Last-Event-ID` the feed continues after that
/// event. If the feed does not contain that event, `reset` comes first, and the client must read
/// all state again. Without `Last-Event-ID` the feed begins with the next event.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "the id of the last received event")),
    responses((status = 200, body = shapes::FeedEvent<'_>, content_type = "text/event-stream"))
)]
pub async fn events(State(state): State<ApiState>, query: RawQuery, headers: HeaderMap) -> ApiResult<Response> {
    query.only(&[])?;
    let seen = headers::last_event_id(&headers)?;
    let feed = FeedReader::begin(&state, seen).await?;
    stream::answer(&state, StreamFormat::Events, feed)
}

/// One reader of the feed.
struct FeedReader {
    state: ApiState,
    after: u64,
    ready: VecDeque<Bytes>,
    /// True if more events may be available already: the last page was full, or none was read yet.
    more: bool,
    committed: watch::Receiver<CommitPosition>,
    closing: watch::Receiver<bool>,
}

/// Why the reader must read all state again.
#[derive(Serialize)]
struct FeedReset {
    /// The first event that the feed still contains.
    first: u64,
    /// The event after which the feed continues.
    last: u64,
}

impl FeedReader {
    async fn begin(state: &ApiState, seen: Option<u64>) -> Result<Self, StoreError> {
        let (first, last) = state.host.store().feed_range().await?;
        let mut ready = VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]);
        // The position must be in the feed, or directly before it.
        let is_in_feed = |seen: &u64| *seen <= last && seen.saturating_add(1) >= first;
        let after = match seen {
            None => last,
            Some(seen) if is_in_feed(&seen) => seen,
            Some(_) => {
                ready.push_back(StreamFormat::Events.frame(Some(last), "reset", &FeedReset { first, last }));
                last
            }
        };
        Ok(Self {
            after,
            ready,
            more: true,
            committed: state.host.store().committed(),
            closing: state.closing.clone(),
            state: state.clone(),
        })
    }

    /// Reads the available events.
    async fn read(&mut self) -> Result<(), StoreError> {
        let entries = self.state.host.store().feed(self.after, AT_ONCE).await?;
        self.more = entries.len() == AT_ONCE;
        for entry in &entries {
            let (name, event) = feed_event(entry);
            self.ready.push_back(StreamFormat::Events.frame(Some(entry.position), name, &event));
            self.after = entry.position;
        }
        Ok(())
    }
}

impl StreamSource for FeedReader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if !self.more {
                match wake(&mut self.committed, &mut self.closing).await {
                    WakeCause::Changed => {}
                    WakeCause::Quiet => return Some(StreamFormat::Events.heartbeat()),
                    WakeCause::Closing => return None,
                }
            }
            self.committed.mark_unchanged();
            if let Err(why) = self.read().await {
                tracing::warn!(cause = %why, "event feed ended early");
                return None;
            }
        }
    }
}
