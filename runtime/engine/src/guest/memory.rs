//! Limits the total size of all memories and tables of an instance.
//!
//! A denied growth stops the guest instead of returning -1. The run then ends with the host's code,
//! and not with the reaction of a language's runtime.

use tidemill_core::Code;
use wasmtime::ResourceLimiter;

use crate::guest::trap::GuestStop;

/// Size of one table element in bytes: one pointer.
const ELEMENT_BYTES: u64 = size_of::<usize>() as u64;

/// Counts the bytes of the memories and tables of one instance.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: u64,
    /// Maximum that the host allows, whatever the deployment's limit.
    host: u64,
    held: u64,
    peak: u64,
    /// Held and peak bytes before the last growth, which may still fail.
    before: (u64, u64),
}

impl MemoryLimiter {
    /// Returns a limiter of at most `limit` and at most `host` bytes in total.
    pub const fn new(limit: u64, host: u64) -> Self {
        Self { limit, host, held: 0, peak: 0, before: (0, 0) }
    }

    /// Returns the peak size in bytes.
    pub const fn peak(&self) -> u64 {
        self.peak
    }

    fn grow(&mut self, by: u64, past_own_maximum: bool) -> wasmtime::Result<bool> {
        let wanted = self.held.saturating_add(by);
        if wanted > self.limit.min(self.host) || past_own_maximum {
            return Err(self.denied(wanted).into());
        }
        self.before = (self.held, self.peak);
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn take_back(&mut self) -> wasmtime::Result<()> {
        let wanted = self.held;
        (self.held, self.peak) = self.before;
        Err(self.denied(wanted).into())
    }

    fn denied(&self, wanted: u64) -> GuestStop {
        if wanted > self.host {
            let message = format!(
                "the guest requested {wanted} bytes of memory; this host allows {}; its operator can raise it with `--memory-max`",
                self.host
            );
            return GuestStop::new(Code::LimitMemory, message);
        }
        let raised = wanted.max(self.limit.saturating_add(1)).next_power_of_two() >> 20;
        GuestStop::new(
            Code::LimitMemory,
            format!(
                "the guest requested {wanted} bytes of memory; its limit is {}; raise it with `memory = \"{raised}MiB\"` under `[limits]`",
                self.limit
            ),
        )
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current) as u64, maximum.is_some_and(|maximum| desired > maximum))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back()
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let by = (desired.saturating_sub(current) as u64).saturating_mul(ELEMENT_BYTES);
        self.grow(by, maximum.is_some_and(|maximum| desired > maximum))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together() {
        let mut limiter = MemoryLimiter::new(1_000_000, u64::MAX);
        assert!(limiter.memory_growing(0, 500_000, None).unwrap());
        assert!(limiter.memory_growing(0, 400_000, None).unwrap());
        let error = limiter.table_growing(0, 20_000, None).unwrap_err();
        assert_eq!(error.downcast_ref::<GuestStop>().unwrap().failure.code, "host/limit-memory");
        assert_eq!(limiter.peak(), 900_000);
        assert!(limiter.table_growing(0, 12_500, None).unwrap());
    }

    #[test]
    fn the_hosts_limit_overrides_a_higher_one() {
        let mut limiter = MemoryLimiter::new(4_000_000, 1_000_000);
        assert!(limiter.memory_growing(0, 1_000_000, None).unwrap());
        let error = limiter.memory_growing(1_000_000, 1_000_001, None).unwrap_err();
        assert!(error.downcast_ref::<GuestStop>().unwrap().failure.message.contains("--memory-max"));
    }

    #[test]
    fn a_growth_that_the_pool_refuses_is_undone() {
        let mut limiter = MemoryLimiter::new(1_000_000, u64::MAX);
        assert!(limiter.memory_growing(0, 300_000, None).unwrap());
        assert!(limiter.memory_growing(300_000, 900_000, None).unwrap());
        assert!(limiter.memory_grow_failed(wasmtime::Error::msg("no")).is_err());
        assert_eq!((limiter.held, limiter.peak()), (300_000, 300_000));
    }
}
