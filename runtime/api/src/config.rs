//! What the API is told by whoever starts it, and the bounds of every request.

use std::path::PathBuf;
use std::time::Duration;

pub use tidemill_control::{DELAY_MAX, KEY_BYTES, NOTE_BYTES};
use tidemill_core::limits::{COMPONENT_BYTES, INPUT_BYTES, KIB};
use tidemill_core::manifest::MANIFEST_BYTES;

/// All header names and values of a request together, in bytes.
pub const HEADER_BYTES: usize = 32 * KIB as usize;
/// Headers in a request.
pub const HEADERS: usize = 64;
/// The path and query of a request, in bytes.
pub const URL_BYTES: usize = 8 * KIB as usize;
/// A manifest or any other small body, in bytes.
pub const DOCUMENT_BYTES: usize = MANIFEST_BYTES;
/// Labels that a request for a run may carry, and that a filter may ask for.
pub const LABELS: usize = 16;
/// The items of a page where `limit` is not given.
pub const PAGE_DEFAULT: usize = 50;
/// The most items of a page.
pub const PAGE_MOST: usize = 500;
/// The longest that `Prefer: wait` is honoured; what asks for more is given this.
pub const WAIT_MOST: Duration = Duration::from_secs(300);

/// Connections beyond the maximum that are kept for `/healthz` and `/readyz`.
pub const PROBE_CONNECTIONS: usize = 16;

/// How the API is set up.
#[derive(Clone)]
pub struct ApiConfig {
    /// Who shows this as `Authorization: Bearer` may do everything. Without one, only callers on the machine itself are
    /// answered: whoever starts the host sees to it that it listens on loopback then.
    pub token: Option<String>,
    /// The host's data folder; uploads are kept in `uploads` in it until they are checked.
    pub data: PathBuf,
    /// The largest component, in bytes.
    pub component_bytes: u64,
    /// The largest input of a run, in bytes.
    pub input_bytes: usize,
    /// Within this, a request's headers must be there.
    pub header_timeout: Duration,
    /// Within this, a request's body must be there; for an upload, each next piece of it.
    pub body_timeout: Duration,
    /// Within this, a request is answered; waits, uploads and feeds have their own time.
    pub request_timeout: Duration,
    /// Maximum number of open connections. One beyond it is answered with 503, except for `/healthz` and `/readyz`, for
    /// which there are [`PROBE_CONNECTIONS`] more.
    pub connections: usize,
    /// Maximum number of open connections from one IPv4 address or one IPv6 /64.
    pub connections_per_peer: usize,
    /// Time in which a peer must take the next 32 KiB of an answer, or all that is left of it.
    pub write_timeout: Duration,
    /// How long a connection lasts on which no request shows the token.
    pub stranger_timeout: Duration,
    /// Event feeds and followed logs that are open at once.
    pub feeds: usize,
}

impl ApiConfig {
    /// Where uploads are kept until they are checked.
    pub(crate) fn uploads(&self) -> std::path::PathBuf {
        self.data.join("uploads")
    }

    /// The usual bounds, with this data folder and token.
    pub fn new(data: impl Into<PathBuf>, token: Option<String>) -> Self {
        Self {
            token,
            data: data.into(),
            component_bytes: COMPONENT_BYTES,
            input_bytes: INPUT_BYTES,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            connections: 4096,
            connections_per_peer: 2048,
            write_timeout: Duration::from_secs(30),
            stranger_timeout: Duration::from_secs(60),
            feeds: 256,
        }
    }
}

impl std::fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is left out.
        f.debug_struct("ApiConfig")
            .field("data", &self.data)
            .field("with_token", &self.token.is_some())
            .field("component_bytes", &self.component_bytes)
            .field("input_bytes", &self.input_bytes)
            .finish_non_exhaustive()
    }
}
