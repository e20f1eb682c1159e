//! The history of one URL. Pure: does not fetch or store.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use tidemill_sdk::Timestamp;

/// The maximum number of stored state changes.
const CHANGES_KEPT: usize = 50;

/// The result of one request to a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// The page answered, with any status.
    Answered { status: u16, latency_ms: u64 },
    /// The page did not answer.
    Silent { why: String },
}

impl Probe {
    /// Whether the status is neither a client error (4xx) nor a server error (5xx).
    fn is_up(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status < 400)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, .. } => write!(f, "it answered {status}"),
            Self::Silent { why } => f.write_str(why),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    at: Timestamp,
    status: u16,
    latency_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Change {
    at: Timestamp,
    up: bool,
    why: String,
}

/// The history of one URL, as `state` stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    up: bool,
    since: Timestamp,
    checks: u64,
    failures: u64,
    samples: VecDeque<Sample>,
    changes: VecDeque<Change>,
}

impl History {
    /// Creates a history with the state of the first request, which must still be observed.
    pub fn begin(at: Timestamp, first: &Probe) -> Self {
        let (samples, changes) = (VecDeque::new(), VecDeque::new());
        Self { up: first.is_up(), since: at, checks: 0, failures: 0, samples, changes }
    }

    /// Adds a request, keeps the last `keep` samples, and returns whether the page went down or
    /// came back.
    pub fn observe(&mut self, at: Timestamp, probe: &Probe, keep: usize) -> bool {
        self.checks += 1;
        self.failures += u64::from(!probe.is_up());
        if let Probe::Answered { status, latency_ms } = *probe {
            self.samples.push_back(Sample { at, status, latency_ms });
        }
        while self.samples.len() > keep {
            self.samples.pop_front();
        }
        if probe.is_up() == self.up {
            return false;
        }
        self.up = probe.is_up();
        self.since = at;
        self.changes.push_back(Change { at, up: self.up, why: probe.to_string() });
        while self.changes.len() > CHANGES_KEPT {
            self.changes.pop_front();
        }
        true
    }

    pub fn up(&self) -> bool {
        self.up
    }

    /// Returns the time since which the page has been up or down.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    pub fn checks(&self) -> u64 {
        self.checks
    }

    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Returns the upper median of the stored samples, or `None` if there are none.
    pub fn median_ms(&self) -> Option<u64> {
        let mut latencies: Vec<u64> = self.samples.iter().map(|sample| sample.latency_ms).collect();
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, latency_ms: u64) -> Probe {
        Probe::Answered { status, latency_ms }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_change_is_seen_once_and_dates_what_follows() {
        let mut history = History::begin(at(0), &answered(200, 10));
        let looks = [(0, 200, false), (10, 500, true), (20, 404, false), (30, 301, true)];
        for (seconds, status, changed) in looks {
            assert_eq!(history.observe(at(seconds), &answered(status, 10), 60), changed, "{seconds}");
        }
        assert_eq!((history.up(), history.since()), (true, at(30)));
        assert_eq!((history.checks(), history.failures()), (4, 2));
        assert_eq!(history.changes.iter().map(|change| change.up).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_page_that_is_down_at_first_sight_did_not_go_down() {
        let silent = Probe::Silent { why: "refused".into() };
        let mut history = History::begin(at(0), &silent);
        assert!(!history.observe(at(0), &silent, 60));
        assert!(!history.up());
        assert_eq!(history.median_ms(), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::begin(at(0), &answered(200, 0));
        for second in 0..500 {
            history.observe(at(second), &answered(if second % 2 == 0 { 200 } else { 500 }, second), 5);
        }
        assert_eq!((history.samples.len(), history.changes.len()), (5, CHANGES_KEPT));
        assert_eq!(history.median_ms(), Some(497));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut history = History::begin(at(0), &answered(200, 1));
        history.observe(at(1), &Probe::Silent { why: "timeout".into() }, 60);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}
