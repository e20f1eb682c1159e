//! What a run may use: the resolved limits of one deployment, their defaults and the host's own bounds.
//!
//! How a manifest writes them is in `manifest`; how they are enforced is the engine's.

use serde::{Deserialize, Serialize};

use crate::ids::Fuel;

/// Bytes in a KiB.
pub const KIB: u64 = 1024;
/// Bytes in a MiB.
pub const MIB: u64 = 1024 * KIB;

/// The longest input of a run.
pub const INPUT_BYTES: usize = 4 * MIB as usize;
/// The longest output of a run.
pub const OUTPUT_BYTES: usize = 4 * MIB as usize;
/// The longest value in a deployment's state.
pub const STATE_VALUE_BYTES: usize = MIB as usize;
/// The longest key in a deployment's state, in bytes of UTF-8.
pub const STATE_KEY_BYTES: usize = 512;
/// A page of `state.scan` ends here, counting keys and values.
pub const STATE_PAGE_BYTES: usize = MIB as usize;
/// The most that one stretch may write to state, counting keys and values.
pub const STRETCH_WRITE_BYTES: usize = 16 * MIB as usize;
/// The most keys that one stretch may read or write.
pub const STRETCH_KEYS: usize = 10_000;
/// All that one commit of a run may hold, apart from values of 8 KiB and more, which are files of their own.
pub const COMMIT_BYTES: u64 = 32 * MIB;
/// The most that `log` under `[limits]` may say: the lines of a run fit into one commit, whatever else is in it.
pub const LOG_BYTES: u64 = 8 * MIB;
/// One log line with its fields; what is longer is cut.
pub const LOG_LINE_BYTES: usize = 64 * KIB as usize;
/// The longest body of one HTTP request or answer.
pub const HTTP_BODY_BYTES: usize = 4 * MIB as usize;
/// All the bodies of one `fetch-all` together.
pub const FETCH_ALL_BYTES: usize = 6 * MIB as usize;
/// Requests in one `fetch-all`.
pub const FETCH_ALL_REQUESTS: usize = 256;
/// The longest try of one HTTP request, in milliseconds.
pub const HTTP_TRY_MILLIS: u64 = 10 * 60 * 1000;
/// The default time limit of one try of an HTTP request, in milliseconds.
pub const HTTP_TRY_DEFAULT_MILLIS: u64 = 30 * 1000;
/// Random bytes in one call.
pub const RANDOM_BYTES: u32 = 65_536;
/// The largest component that can be uploaded.
pub const COMPONENT_BYTES: u64 = 64 * MIB;
/// A host call costs this much fuel,
pub const HOST_CALL_FUEL: u64 = 500;
/// and one more for each of so many bytes that pass the border.
pub const HOST_CALL_BYTES_PER_FUEL: u64 = 16;
/// Each element of a list that passes the border counts as so many bytes more, so that empty elements are not free.
pub const HOST_CALL_ELEMENT_BYTES: usize = 160;
/// The most fields of one log line; the rest is dropped.
pub const LOG_FIELDS: usize = 64;
/// A field of a log line counts at least so many bytes against the limit of the log.
pub const LOG_FIELD_BYTES: u64 = 32;
/// A page of log lines ends here, counting texts and fields.
pub const LOG_PAGE_BYTES: usize = MIB as usize;

/// What one run may use. Fuel, journal, log bytes and HTTP count by generation, `lifetime` by run, the rest by activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Units of work; about one a wasm instruction.
    pub fuel: Fuel,
    /// All memories and tables of the instance together, in bytes.
    pub memory: u64,
    /// Guest code and host calls other than waits, HTTP and commits, in milliseconds.
    pub active_millis: u64,
    /// From start to end, waits included, in milliseconds; none by default.
    pub lifetime_millis: Option<u64>,
    /// The output of a run, in bytes; at most [`OUTPUT_BYTES`].
    pub output: u64,
    /// All log lines of a run together, in bytes; what is beyond is counted and dropped.
    pub log: u64,
    /// The journal of one generation, in bytes.
    pub journal: u64,
    /// HTTP requests that a run may send, retries included.
    pub http_calls: u64,
    /// Bodies of all HTTP requests and answers of a run together, in bytes.
    pub http_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A second or two of work.
            fuel: Fuel::new(1_000_000_000),
            memory: 64 * MIB,
            active_millis: 30_000,
            lifetime_millis: None,
            output: OUTPUT_BYTES as u64,
            log: MIB,
            journal: 256 * MIB,
            http_calls: 1_000,
            http_bytes: 256 * MIB,
        }
    }
}
