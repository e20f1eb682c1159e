//! What a run may use: the resolved limits of one deployment, their defaults, and the host's own
//! bounds.
//!
//! `manifest` reads them, and the engine enforces them.

use serde::{Deserialize, Serialize};

use crate::ids::Fuel;

/// Bytes in a KiB.
pub const KIB: u64 = 1024;
/// Bytes in a MiB.
pub const MIB: u64 = 1024 * KIB;

/// Maximum size of a run's input, in bytes.
pub const INPUT_BYTES: usize = 4 * MIB as usize;
/// Maximum size of a delivery to a hook as the JSON text that the guest's export takes, in bytes:
/// a body of 4 MiB in base64, and its headers.
pub const DELIVERY_INPUT_BYTES: usize = 6 * MIB as usize;
/// What part of its fuel a guest has in addition, from the notification of a cancellation on: one
/// of this many.
pub const GRACE_FUEL: u64 = 10;
/// Maximum size of a run's output, in bytes.
pub const OUTPUT_BYTES: usize = 4 * MIB as usize;
/// Maximum size of a value in a deployment's state, in bytes.
pub const STATE_VALUE_BYTES: usize = MIB as usize;
/// Maximum length of a key in a deployment's state, in bytes of UTF-8.
pub const STATE_KEY_BYTES: usize = 512;
/// Maximum size of a page of `state.scan`, keys and values, in bytes.
pub const STATE_PAGE_BYTES: usize = MIB as usize;
/// Maximum size of the state writes of one transaction, keys and values, in bytes.
pub const TRANSACTION_WRITE_BYTES: usize = 16 * MIB as usize;
/// Maximum number of keys that one transaction reads or writes.
pub const TRANSACTION_KEYS: usize = 10_000;
/// Maximum size of one commit of a run, in bytes, without values of 8 KiB and more, which are
/// separate files.
pub const COMMIT_BYTES: u64 = 32 * MIB;
/// Maximum of `log` under `[limits]`, in bytes: the log lines of a run fit into one commit,
/// whatever else it holds.
pub const LOG_BYTES: u64 = 8 * MIB;
/// Maximum size of one log line with its fields, in bytes; a longer line is cut.
pub const LOG_LINE_BYTES: usize = 64 * KIB as usize;
/// Maximum size of the body of one HTTP request or response, in bytes.
pub const HTTP_BODY_BYTES: usize = 4 * MIB as usize;
/// Maximum total size of the bodies of one `fetch-all`, in bytes.
pub const FETCH_ALL_BYTES: usize = 6 * MIB as usize;
/// Maximum number of requests in one `fetch-all`.
pub const FETCH_ALL_REQUESTS: usize = 256;
/// Maximum duration of one try of an HTTP request, in milliseconds.
pub const HTTP_TRY_MILLIS: u64 = 10 * 60 * 1000;
/// Default timeout of one try of an HTTP request, in milliseconds.
pub const HTTP_TRY_DEFAULT_MILLIS: u64 = 30 * 1000;
/// Maximum number of random bytes of one call.
pub const RANDOM_BYTES: u32 = 65_536;
/// Maximum size of an uploaded component, in bytes.
pub const COMPONENT_BYTES: u64 = 64 * MIB;
/// Base cost of a host call, in fuel.
pub const HOST_CALL_FUEL: u64 = 500;
/// Number of bytes across the guest boundary that cost one more unit of fuel.
pub const HOST_CALL_BYTES_PER_FUEL: u64 = 16;
/// Size at which each element of a list across the guest boundary is counted in addition, in
/// bytes, so that empty elements are not free.
pub const HOST_CALL_ELEMENT_BYTES: usize = 160;
/// Maximum number of fields of one log line; further fields are dropped.
pub const LOG_FIELDS: usize = 64;
/// Minimum size at which a field of a log line counts against the log limit, in bytes.
pub const LOG_FIELD_BYTES: u64 = 32;
/// Maximum size of a page of log lines, texts and fields, in bytes.
pub const LOG_PAGE_BYTES: usize = MIB as usize;

/// What one run may use. Fuel, journal, log bytes and HTTP count per generation, `lifetime` per
/// run, the others per activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum fuel; one unit is about one wasm instruction.
    pub fuel: Fuel,
    /// Maximum size of all memories and tables of the instance together, in bytes.
    pub memory: u64,
    /// Maximum time in guest code and in host calls other than waits, HTTP and commits, in
    /// milliseconds.
    pub active_millis: u64,
    /// Maximum time from start to end, waits included, in milliseconds; unlimited by default.
    pub lifetime_millis: Option<u64>,
    /// Maximum size of the output, in bytes; at most [`OUTPUT_BYTES`].
    pub output: u64,
    /// Maximum size of all log lines together, in bytes. Lines beyond it are counted and dropped.
    pub log: u64,
    /// Maximum size of the journal, in bytes.
    pub journal: u64,
    /// Maximum number of HTTP requests, retries included.
    pub http_calls: u64,
    /// Maximum size of the bodies of all HTTP requests and responses together, in bytes.
    pub http_bytes: u64,
}

impl Limits {
    /// The most fuel that one generation of a run uses: its limit, and the grace in which a
    /// cancelled guest undoes its work.
    #[must_use]
    pub const fn fuel_of_generation(&self) -> u64 {
        self.fuel.get().saturating_add(self.fuel.get() / GRACE_FUEL)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // One or two seconds of work.
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
