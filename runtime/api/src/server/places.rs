//! Counts the open connections: in all, and for each peer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::peer::Network;

/// Limits the number of open connections.
pub(super) struct ConnectionLimiter {
    max: usize,
    max_per_peer: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    all: usize,
    by_peer: HashMap<Network, usize>,
}

/// One open connection. Dropping it frees its place.
pub(super) struct ConnectionPermit {
    places: Arc<ConnectionLimiter>,
    peer: Network,
}

impl ConnectionLimiter {
    /// Allows at most `max` connections, and at most `max_per_peer` from one peer.
    pub(super) fn new(max: usize, max_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_peer, open: Mutex::default() })
    }

    /// Counts a connection of `peer`; `None` if a limit is reached.
    pub(super) fn take(self: &Arc<Self>, peer: Network) -> Option<ConnectionPermit> {
        let mut open = self.lock();
        let OpenConnections { all, by_peer } = &mut *open;
        let of_peer = by_peer.get(&peer).copied().unwrap_or_default();
        if *all >= self.max || of_peer >= self.max_per_peer {
            return None;
        }
        *all += 1;
        by_peer.insert(peer, of_peer + 1);
        drop(open);
        Some(ConnectionPermit { places: Arc::clone(self), peer })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn one_peer_cannot_take_every_place() {
        let places = ConnectionLimiter::new(3, 2);
        let first = [places.take(peer("10.0.0.1")), places.take(peer("10.0.0.1"))];
        assert!(first.iter().all(Option::is_some));
        assert!(places.take(peer("10.0.0.1")).is_none());
        let other = places.take(peer("10.0.0.2"));
        assert!(other.is_some());
        assert!(places.take(peer("10.0.0.3")).is_none());
        drop(first);
        assert!(places.take(peer("10.0.0.1")).is_some());
        drop(other);
        assert!(places.lock().by_peer.is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        let places = ConnectionLimiter::new(9, 1);
        let held = places.take(peer("2001:db8:1:2::1"));
        assert!(held.is_some() && places.take(peer("2001:db8:1:2:ffff::2")).is_none());
        assert!(places.take(peer("2001:db8:1:3::1")).is_some());
        let held = places.take(peer("10.0.0.1"));
        assert!(held.is_some() && places.take(peer("::ffff:10.0.0.1")).is_none());
    }
}
