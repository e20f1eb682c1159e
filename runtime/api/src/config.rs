//! The API's settings, and the bounds of every request.

use std::path::PathBuf;
use std::time::Duration;

pub use tidemill_control::{DELAY_MAX, KEY_BYTES, NOTE_BYTES};
use tidemill_core::limits::{COMPONENT_BYTES, INPUT_BYTES, KIB};
use tidemill_core::manifest::MANIFEST_BYTES;

/// Maximum size of all header names and values of a request, in bytes.
pub const HEADER_BYTES: usize = 32 * KIB as usize;
/// Maximum number of headers in a request.
pub const HEADERS: usize = 64;
/// Maximum length of a request's path and query, in bytes.
pub const URL_BYTES: usize = 8 * KIB as usize;
/// Maximum size of a manifest or any other small body, in bytes.
pub const DOCUMENT_BYTES: usize = MANIFEST_BYTES;
/// Maximum number of labels of a run, and of labels in a filter.
pub const LABELS: usize = 16;
/// Default number of items on a page.
pub const PAGE_DEFAULT: usize = 50;
/// Maximum number of items on a page.
pub const PAGE_MOST: usize = 500;
/// Maximum time for `Prefer: wait`. A longer wait is reduced to this.
pub const WAIT_MOST: Duration = Duration::from_secs(300);

/// Connections beyond the maximum that are kept for `/healthz` and `/readyz`.
pub const PROBE_CONNECTIONS: usize = 16;

/// The API's settings.
#[derive(Clone)]
pub struct ApiConfig {
    /// The token grants full access as `Authorization: Bearer`. Without a token, only callers on
    /// this machine are answered, and the process that starts the host must listen on loopback
    /// only.
    pub token: Option<String>,
    /// The host's data folder. Its subfolder `uploads` holds uploads until they are checked.
    pub data: PathBuf,
    /// Maximum size of a component, in bytes.
    pub component_bytes: u64,
    /// Maximum size of a run's input, in bytes.
    pub input_bytes: usize,
    /// Timeout for a request's headers.
    pub header_timeout: Duration,
    /// Timeout for a request's body; for an upload, for each next piece of it.
    pub body_timeout: Duration,
    /// Timeout for the answer. Waits, uploads and feeds have their own.
    pub request_timeout: Duration,
    /// Maximum number of open connections. A connection beyond it is answered with 503, except for
    /// `/healthz` and `/readyz`, for which [`PROBE_CONNECTIONS`] more are reserved.
    pub connections: usize,
    /// Maximum number of open connections from one IPv4 address or one IPv6 /64.
    pub connections_per_peer: usize,
    /// Time in which a peer must take the next 32 KiB of an answer, or all that is left of it.
    pub write_timeout: Duration,
    /// Maximum lifetime of a connection on which no request shows the token.
    pub stranger_timeout: Duration,
    /// Maximum number of open event feeds and followed logs.
    pub feeds: usize,
}

impl ApiConfig {
    /// Returns the folder that holds uploads until they are checked.
    pub(crate) fn uploads(&self) -> std::path::PathBuf {
        self.data.join("uploads")
    }

    /// Returns the default bounds, with this data folder and token.
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
        // The token is left out of debug output.
        f.debug_struct("ApiConfig")
            .field("data", &self.data)
            .field("with_token", &self.token.is_some())
            .field("component_bytes", &self.component_bytes)
            .field("input_bytes", &self.input_bytes)
            .finish_non_exhaustive()
    }
}
