//! Decides whether and when a request is retried. Sends nothing.

use tidemill_core::retry::RetryPolicy;
use tidemill_core::retry_after::{after_answer, refused_until};
use tidemill_core::{Code, Failure, Timestamp};

use super::outgoing::HttpResponse;

/// Maximum delay between two tries, in milliseconds. The delay is waited in memory.
pub(super) const WAIT_MILLIS: u64 = 10 * 60 * 1000;

/// Number of tries of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TryCount {
    /// Tries that were made.
    pub made: u32,
    /// Tries that an open circuit refused.
    pub refused: u32,
}

impl TryCount {
    /// Returns the delay before the next try in milliseconds, or `None` if the result is final.
    ///
    /// `random` is uniform over `u64`. If a server requests a delay longer than the maximum in
    /// memory, the request is not retried: the guest receives the response, and can wait durably.
    pub fn after(
        &mut self,
        tried: &Result<HttpResponse, Failure>,
        retry: &RetryPolicy,
        now: Timestamp,
        random: u64,
    ) -> Option<u64> {
        let refused = tried.as_ref().err().and_then(refused_until);
        let asked_for = match tried {
            Ok(answer) => after_answer(answer.status, answer.header("retry-after"), now),
            Err(_) => refused,
        };
        let again = match tried {
            Ok(answer) => answer.status == 429 || answer.status >= 500,
            Err(failure) => {
                let is = |code: Code| failure.code == code.as_str();
                refused.is_some() || is(Code::HttpConnectFailed) || is(Code::HttpTimeout)
            }
        };
        let count = if refused.is_some() { &mut self.refused } else { &mut self.made };
        *count = count.saturating_add(1);
        if !again || !retry.has_another(*count) {
            return None;
        }
        let next = self.made.saturating_add(1).max(2);
        let asked_for = asked_for.map_or(0, |at| at.millis_since(now));
        let delay = retry.delay_before(next, random).min(WAIT_MILLIS);
        // All requests that the open circuit refused wait for the same moment.
        let apart = if refused.is_some() { random % 1_000 } else { 0 };
        (asked_for <= WAIT_MILLIS).then(|| delay.max(asked_for.saturating_add(apart)))
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::retry_after::circuit_open;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn answer(status: u16, retry_after: &str) -> Result<HttpResponse, Failure> {
        let headers = vec![("Retry-After".to_owned(), retry_after.to_owned())];
        Ok(HttpResponse { status, headers, body: Vec::new(), url: String::new(), elapsed: 0 })
    }

    fn after(tried: &Result<HttpResponse, Failure>) -> Option<u64> {
        TryCount::default().after(tried, &RetryPolicy::QUICK, NOW, 0)
    }

    #[test]
    fn retry_after_is_respected() {
        assert_eq!(after(&answer(503, "7")), Some(7_000));
        assert_eq!(after(&answer(429, "7")), Some(7_000));
        assert_eq!(after(&answer(500, "7")), Some(100));
        assert_eq!(after(&answer(503, "0")), Some(100));
        assert_eq!(after(&answer(200, "7")), None);
    }

    #[test]
    fn retry_after_beyond_the_maximum_delay_ends_the_tries() {
        assert_eq!(after(&answer(503, "600")), Some(600_000));
        assert_eq!(after(&answer(503, "601")), None);
    }

    #[test]
    fn refused_tries_do_not_count_as_made() {
        let refused = Err(circuit_open("x".to_owned(), NOW.plus_millis(60_000)));
        let mut tries = TryCount::default();
        for _ in 0..4 {
            assert_eq!(tries.after(&refused, &RetryPolicy::QUICK, NOW, 0), Some(60_000));
        }
        assert_eq!(tries.made, 0);
        assert_eq!(tries.after(&answer(500, ""), &RetryPolicy::QUICK, NOW, 0), Some(100));
        assert_eq!(tries.after(&refused, &RetryPolicy::QUICK, NOW, 0), None, "as often as there are attempts");
        assert_eq!(TryCount::default().after(&refused, &RetryPolicy::NEVER, NOW, 0), None);
    }

    #[test]
    fn tries_are_limited_by_the_policy() {
        let (mut tries, mut made) = (TryCount::default(), 1);
        while tries.after(&answer(500, ""), &RetryPolicy::QUICK, NOW, 0).is_some() {
            made += 1;
        }
        assert_eq!(made, 5);
    }
}
