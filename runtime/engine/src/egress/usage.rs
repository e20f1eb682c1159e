//! Counts a run's HTTP usage: requests, tries included, and the bytes of all bodies.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidemill_core::limits::HTTP_BODY_BYTES;
use tidemill_core::{Code, Failure, Limits};

/// The usage of one generation.
#[derive(Debug, Default)]
pub(crate) struct HttpUsage {
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl HttpUsage {
    /// Continues from earlier counts.
    pub fn resume(&self, calls: u64, bytes: u64) {
        self.calls.store(calls, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    /// Returns the number of requests and the bytes of their bodies.
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Counts one try.
    pub fn call(&self, limits: &Limits) -> Result<(), Failure> {
        if self.calls.fetch_add(1, Relaxed) < limits.http_calls {
            return Ok(());
        }
        Err(Code::LimitHttp.failure(format!(
            "the run has sent {0} requests, tries included; raise it with `http_calls = {1}` under `[limits]`",
            limits.http_calls,
            limits.http_calls.saturating_mul(2)
        )))
    }

    /// Counts bytes of a body.
    pub fn bytes(&self, more: usize, limits: &Limits) -> Result<(), Failure> {
        let all = self.bytes.fetch_add(more as u64, Relaxed).saturating_add(more as u64);
        if all <= limits.http_bytes {
            return Ok(());
        }
        Err(Code::LimitHttp.failure(format!(
            "the bodies of the run's requests and responses exceed {} bytes; raise it with `http_bytes` under `[limits]`",
            limits.http_bytes
        )))
    }
}

/// Size budget of the bodies of one call, `fetch` or `fetch-all`.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    left: AtomicU64,
    all: u64,
}

impl BodyBudget {
    /// Returns a budget of `all` bytes in total, and of at most [`HTTP_BODY_BYTES`] for each body.
    pub const fn new(all: usize) -> Self {
        Self { left: AtomicU64::new(all as u64), all: all as u64 }
    }

    /// Takes bytes of a body whose size is then `body`.
    pub fn take(&self, more: usize, body: usize) -> Result<(), Failure> {
        if body > HTTP_BODY_BYTES {
            return Err(Code::LimitHttpBody.failure(format!("the body exceeds {HTTP_BODY_BYTES} bytes")));
        }
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more as u64));
        taken.map(|_| ()).map_err(|_| {
            Code::LimitHttpBody.failure(format!("the bodies of one call exceed {} bytes in total", self.all))
        })
    }

    /// Returns the bytes of a discarded body to the budget.
    pub fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes as u64, Relaxed);
    }
}
