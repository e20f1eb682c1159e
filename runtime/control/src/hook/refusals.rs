//! Requests to hooks that were refused without a trace in the store: the last of each hook, in
//! memory.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tidemill_core::Timestamp;
use tidemill_core::delivery::{BodyDigest, REFUSALS};

/// Maximum number of header names that an entry lists.
const HEADER_NAMES: usize = 64;
/// Maximum length of the header names of an entry together, in bytes.
const HEADER_NAME_BYTES: usize = 2_048;

/// A request that was refused before its delivery was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When it was complete.
    pub at: Timestamp,
    /// Why it was refused.
    pub reason: String,
    /// The names of its headers, as far as they fit.
    pub headers: Vec<String>,
    /// The size of its body, in bytes.
    pub body_bytes: u64,
    /// The digest of its body.
    pub digest: BodyDigest,
}

/// The last refusals of one hook, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<VecDeque<Refusal>>);

impl RefusalLog {
    /// Adds a refusal; the oldest one makes room.
    pub(crate) fn add(&self, refusal: Refusal) {
        let mut log = self.0.lock();
        if log.len() >= REFUSALS {
            log.pop_front();
        }
        log.push_back(refusal);
    }

    /// Returns the refusals, newest first.
    pub(crate) fn newest_first(&self) -> Vec<Refusal> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

/// Returns header names as far as an entry lists them.
pub(crate) fn header_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut left = HEADER_NAME_BYTES;
    names
        .take(HEADER_NAMES)
        .map_while(|name| {
            left = left.checked_sub(name.len())?;
            Some(name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(at: u64) -> Refusal {
        Refusal {
            at: Timestamp::from_millis(at),
            reason: "no signature".to_owned(),
            headers: vec![],
            body_bytes: 0,
            digest: BodyDigest::of(b""),
        }
    }

    #[test]
    fn the_newest_hundred_refusals_are_kept() {
        let log = RefusalLog::default();
        for at in 0..REFUSALS as u64 + 5 {
            log.add(refusal(at));
        }
        let kept = log.newest_first();
        assert_eq!((kept.len(), kept[0].at.as_millis(), kept[99].at.as_millis()), (100, 104, 5));
    }

    #[test]
    fn header_names_are_bounded() {
        let long = "x".repeat(1_500);
        assert_eq!(header_names([long.as_str(), "a", long.as_str(), "b"].into_iter()), [long.as_str(), "a"]);
        assert_eq!(header_names(std::iter::repeat_n("a", 1_000)).len(), HEADER_NAMES);
    }
}
