//! The peer of a connection, as its requests see it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The peer of one connection. The server adds it to the extensions of every request.
#[derive(Debug, Clone)]
pub struct Peer(Arc<PeerState>);

#[derive(Debug)]
struct PeerState {
    address: IpAddr,
    authorized: AtomicBool,
    sent_body: AtomicBool,
}

/// The unit that counts as one peer: an IPv4 address, or an IPv6 /64, which a provider assigns to
/// one customer as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network that `address` counts for.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

impl Peer {
    /// Describes a new connection from `address`.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(Arc::new(PeerState { address, authorized: AtomicBool::new(false), sent_body: AtomicBool::new(false) }))
    }

    /// Returns the peer's address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// Returns the network that counts as this peer.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::of(self.0.address)
    }

    /// Records that a request on this connection was authorized.
    pub fn authorize(&self) {
        // Load first, so that the cache line stays shared between cores.
        if !self.is_authorized() {
            self.0.authorized.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether any request on this connection was authorized.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        self.0.authorized.load(Ordering::Relaxed)
    }

    /// Records whether the newest request has a body.
    pub fn set_sent_body(&self, sent: bool) {
        self.0.sent_body.store(sent, Ordering::Relaxed);
    }

    /// Returns whether the newest request has a body, which may not have been read to its end.
    #[must_use]
    pub fn sent_body(&self) -> bool {
        self.0.sent_body.load(Ordering::Relaxed)
    }
}
