//! Failed authentications: logged, and throttled by peer.
//!
//! A request with the right token always passes. So a guesser behind the same proxy, or in the same
//! network, cannot lock out other callers.

use std::collections::HashMap;

use parking_lot::Mutex;
use tidemill_core::{Code, Timestamp};

use crate::problem::Problem;
use crate::server::peer::{Network, Peer};

/// Maximum number of failed authentications of one peer within a window before it is throttled.
const MAX: u32 = 20;
/// Length of a window, in milliseconds.
const WINDOW_MILLIS: u64 = 60_000;
/// Maximum number of peers that are counted separately. The others share one count.
const PEERS: usize = 1024;

/// The failed authentications of each peer in the current window.
#[derive(Debug, Default)]
pub struct FailedAttempts(Mutex<HashMap<Option<Network>, AttemptWindow>>);

#[derive(Debug, Clone, Copy)]
struct AttemptWindow {
    since: Timestamp,
    failed: u32,
}

impl FailedAttempts {
    /// Counts a failed authentication that ended with `problem`. Returns that problem, or a refusal
    /// to check more tokens for now.
    pub fn failed(&self, peer: &Peer, now: Timestamp, problem: Problem) -> Problem {
        let window = self.count(peer.network(), now);
        let address = peer.address();
        match window.failed {
            1 => tracing::warn!(peer = %address, "authentication failed"),
            failed if failed == MAX + 1 => {
                tracing::warn!(peer = %address, failed, "authentication failed too often; the peer is throttled");
            }
            _ => {}
        }
        if window.failed <= MAX {
            return problem;
        }
        let left = WINDOW_MILLIS.saturating_sub(now.millis_since(window.since));
        Problem::new(Code::TooManyAttempts, "authentication failed too often from this address")
            .retry_after(left.div_ceil(1_000).max(1))
    }

    fn count(&self, network: Network, now: Timestamp) -> AttemptWindow {
        let over = |window: &AttemptWindow| now < window.since || now.millis_since(window.since) >= WINDOW_MILLIS;
        let mut peers = self.0.lock();
        if !peers.contains_key(&Some(network)) && peers.len() >= PEERS {
            peers.retain(|_, window| !over(window));
        }
        let apart = peers.contains_key(&Some(network)) || peers.len() < PEERS;
        let window = peers.entry(apart.then_some(network)).or_insert(AttemptWindow { since: now, failed: 0 });
        if over(window) {
            *window = AttemptWindow { since: now, failed: 0 };
        }
        window.failed = window.failed.saturating_add(1);
        *window
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(number: u32) -> Peer {
        Peer::new(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn fail(attempts: &FailedAttempts, number: u32, millis: u64) -> u16 {
        let problem = Problem::new(Code::Unauthorized, "x");
        attempts.failed(&peer(number), Timestamp::from_millis(millis), problem).status().as_u16()
    }

    #[test]
    fn a_peer_is_throttled_until_its_window_is_over() {
        let attempts = FailedAttempts::default();
        for _ in 0..MAX {
            assert_eq!(fail(&attempts, 1, 1_000), 401);
        }
        assert_eq!(fail(&attempts, 1, 60_999), 429);
        assert_eq!(fail(&attempts, 2, 60_999), 401);
        assert_eq!(fail(&attempts, 1, 61_000), 401);
    }

    #[test]
    fn a_clock_that_was_set_back_begins_a_new_window() {
        let attempts = FailedAttempts::default();
        for _ in 0..=MAX {
            fail(&attempts, 1, 900_000);
        }
        assert_eq!(fail(&attempts, 1, 1_000), 401);
    }

    #[test]
    fn many_peers_take_bounded_memory() {
        let attempts = FailedAttempts::default();
        for number in 0..3 * PEERS as u32 {
            fail(&attempts, number, 1_000);
        }
        assert!(attempts.0.lock().len() <= PEERS + 1);
        assert_eq!(fail(&attempts, u32::MAX, 1_000), 429);
        assert_eq!(fail(&attempts, u32::MAX, 70_000), 401);
        assert!(attempts.0.lock().len() <= 2);
    }
}
