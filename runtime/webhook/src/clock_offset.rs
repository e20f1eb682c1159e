//! Detects that the clock of the host is wrong.

use crate::failure::VerificationFailure;

/// Number of failures in a row that show a wrong clock.
const FAILURES: usize = 5;

/// Detects a wrong clock of the host: valid signatures of a hook that fail by their time alone,
/// several in a row.
///
/// A failure counts if its signature is newer than the one before, so that one old request that is
/// sent again and again shows nothing. A verified request resets the detector.
#[derive(Debug, Clone, Default)]
pub struct ClockOffsetDetector {
    offsets: Vec<i64>,
    signed_at_millis: u64,
}

impl ClockOffsetDetector {
    /// Notes a verified request.
    pub fn note_verified(&mut self) {
        self.offsets.clear();
        self.signed_at_millis = 0;
    }

    /// Notes a failure. Failures for other reasons than the time change nothing.
    pub fn note_failure(&mut self, failure: &VerificationFailure) {
        let VerificationFailure::OutsideTolerance { signed_at_millis, offset_millis } = *failure else { return };
        if signed_at_millis > self.signed_at_millis {
            self.signed_at_millis = signed_at_millis;
            self.offsets.push(offset_millis);
            let old = self.offsets.len().saturating_sub(FAILURES);
            self.offsets.drain(..old);
        }
    }

    /// The measured offset in milliseconds if the clock is wrong: the median of the last failures.
    /// It is positive if the host's clock is slow.
    #[must_use]
    pub fn offset_millis(&self) -> Option<i64> {
        let mut offsets = self.offsets.clone();
        offsets.sort_unstable();
        (offsets.len() == FAILURES).then(|| offsets[FAILURES / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(signed_at_millis: u64, offset_millis: i64) -> VerificationFailure {
        VerificationFailure::OutsideTolerance { signed_at_millis, offset_millis }
    }

    #[test]
    fn five_failures_by_time_in_a_row_give_the_median_offset() {
        let mut detector = ClockOffsetDetector::default();
        for (n, offset) in [(1, -400_000), (2, -401_000), (3, -900_000), (4, -402_000)] {
            detector.note_failure(&late(n, offset));
            detector.note_failure(&VerificationFailure::WrongSignature);
            assert_eq!(detector.offset_millis(), None);
        }
        detector.note_failure(&late(5, -403_000));
        assert_eq!(detector.offset_millis(), Some(-402_000));
        detector.note_failure(&late(6, -402_000));
        assert_eq!(detector.offset_millis(), Some(-402_000));
        detector.note_verified();
        assert_eq!(detector.offset_millis(), None);
    }

    #[test]
    fn a_request_that_is_sent_again_counts_once() {
        let mut detector = ClockOffsetDetector::default();
        for n in 0..20 {
            detector.note_failure(&late(7, -400_000 - n));
            detector.note_failure(&late(6, -400_000 - n));
        }
        assert_eq!(detector.offset_millis(), None);
    }
}
