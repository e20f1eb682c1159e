//! Circuit breakers: one for each deployment and origin, consulted before every hop of every try.
//!
//! The rules are in `tidemill_core::breaker`; this file holds the breakers and bounds their number.
//! Breakers are in memory only, so a restarted host tries every origin again. No lock is held while
//! a request is sent.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::breaker::{
    Breaker, BreakerAdmission, BreakerPhase, BreakerPolicy, BreakerRefusal, CallOutcome, CallPurpose,
};
use tidemill_core::clock::Stopwatch;
use tidemill_core::retry_after::circuit_open;
use tidemill_core::{Clock, Failure, Timestamp};

/// Maximum number of breakers, and number dropped at once if there are more.
const KEPT: usize = 4_096;
const DROPPED: usize = KEPT / 4;

/// The breakers of one engine.
pub(super) struct Breakers {
    clock: Arc<dyn Clock>,
    kept: Mutex<BreakerTable>,
}

/// Breakers by deployment and origin.
#[derive(Default)]
struct BreakerTable {
    breakers: HashMap<(String, String), BreakerEntry>,
    /// Number of lookups so far.
    turn: u64,
}

struct BreakerEntry {
    breaker: Arc<Mutex<Breaker>>,
    used: u64,
}

/// A request that may be sent. If it is dropped before it ends, it does not count.
pub(super) struct BreakerPermit {
    breaker: Arc<Mutex<Breaker>>,
    clock: Arc<dyn Clock>,
    admission: Option<BreakerAdmission>,
    watch: Stopwatch,
}

impl Breakers {
    /// Returns breakers that are all closed.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// Checks that a deployment may send a request to an origin.
    pub fn admit(&self, deployment: &str, origin: &str, purpose: CallPurpose) -> Result<BreakerPermit, Failure> {
        let now = self.clock.now();
        let breaker = self.kept.lock().of(deployment, origin, now);
        let admitted = breaker.lock().admit(purpose, now);
        match admitted {
            Ok(admission) => Ok(BreakerPermit {
                breaker,
                clock: Arc::clone(&self.clock),
                admission: Some(admission),
                watch: Stopwatch::start(),
            }),
            Err(BreakerRefusal { since, until }) => {
                // No operator decides about the breakers of origins, so there is an end.
                let until = until.unwrap_or(now);
                let message = format!(
                    "the circuit of {origin} is open since {since} after repeated failures; the next request is allowed at {until}"
                );
                Err(circuit_open(message, until))
            }
        }
    }
}

impl BreakerTable {
    fn of(&mut self, deployment: &str, origin: &str, now: Timestamp) -> Arc<Mutex<Breaker>> {
        self.turn += 1;
        let key = (deployment.to_owned(), origin.to_owned());
        if !self.breakers.contains_key(&key) && self.breakers.len() >= KEPT {
            self.make_room();
        }
        let entry = self.breakers.entry(key).or_insert_with(|| BreakerEntry {
            breaker: Arc::new(Mutex::new(Breaker::new(BreakerPolicy::default(), now))),
            used: 0,
        });
        entry.used = self.turn;
        Arc::clone(&entry.breaker)
    }

    /// Drops the least recently used breakers: the closed ones first, because they hold little
    /// state.
    fn make_room(&mut self) {
        let order = |entry: &BreakerEntry| {
            let phase = entry.breaker.lock().phase();
            (phase != BreakerPhase::Closed, entry.used)
        };
        let mut all: Vec<_> = self.breakers.values().map(order).collect();
        let (_, first_kept, _) = all.select_nth_unstable(DROPPED.min(self.breakers.len().saturating_sub(1)));
        let first_kept = *first_kept;
        self.breakers.retain(|_, entry| order(entry) >= first_kept);
    }
}

impl BreakerPermit {
    /// Restarts the time measurement when the request leaves.
    pub fn sent(mut self) -> Self {
        self.watch = Stopwatch::start();
        self
    }

    /// Ends the request; `failed` tells whether the origin caused its failure.
    pub fn ended(mut self, failed: bool) {
        let millis = u64::try_from(self.watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.record(CallOutcome::Ended { failed, millis });
    }

    fn record(&mut self, outcome: CallOutcome) {
        if let Some(admission) = self.admission.take() {
            let mut breaker = self.breaker.lock();
            breaker.record(admission, outcome, self.clock.now());
        }
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        self.record(CallOutcome::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::clock::ManualClock;

    use super::*;

    fn breakers() -> (Arc<ManualClock>, Breakers) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        (Arc::clone(&clock), Breakers::new(clock))
    }

    fn open(breakers: &Breakers, deployment: &str, origin: &str) {
        (0..10).for_each(|_| breakers.admit(deployment, origin, CallPurpose::Ordinary).unwrap().ended(true));
    }

    #[test]
    fn an_open_circuit_affects_one_deployment_and_one_origin() {
        let (_, breakers) = breakers();
        open(&breakers, "a", "https://x");
        let failure = breakers.admit("a", "https://x", CallPurpose::Ordinary).err().unwrap();
        assert_eq!((failure.code.as_str(), failure.retryable), ("host/http-circuit-open", true));
        for part in ["https://x", "1970-01-01T00:16:40", "1970-01-01T00:17:40"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(
            breakers.admit("a", "https://y", CallPurpose::Ordinary).is_ok()
                && breakers.admit("b", "https://x", CallPurpose::Ordinary).is_ok()
        );
    }

    #[test]
    fn a_dropped_permit_returns_its_slot() {
        let (clock, breakers) = breakers();
        open(&breakers, "a", "https://x");
        clock.advance(60_000);
        for _ in 0..30 {
            drop(breakers.admit("a", "https://x", CallPurpose::Ordinary).unwrap());
        }
        let held: Vec<_> = (0..10).map(|_| breakers.admit("a", "https://x", CallPurpose::Ordinary).unwrap()).collect();
        assert!(breakers.admit("a", "https://x", CallPurpose::Ordinary).is_err());
        drop(held);
        assert!(breakers.admit("a", "https://x", CallPurpose::Ordinary).is_ok());
    }

    #[test]
    fn breakers_are_bounded_and_closed_ones_are_dropped_first() {
        let (_, breakers) = breakers();
        open(&breakers, "a", "https://x");
        for n in 0..3 * KEPT {
            breakers.admit("a", &format!("https://{n}"), CallPurpose::Ordinary).unwrap().ended(false);
        }
        assert!(breakers.kept.lock().breakers.len() <= KEPT);
        assert!(breakers.admit("a", "https://x", CallPurpose::Ordinary).is_err());
        for n in 0..2 * KEPT {
            open(&breakers, "b", &format!("https://{n}"));
        }
        assert!(breakers.kept.lock().breakers.len() <= KEPT, "where all are open too");
    }
}
