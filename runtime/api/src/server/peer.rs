//! The other side of a connection, as requests on it see it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The other side of one connection. It is in the extensions of every request that came through the server.
#[derive(Debug, Clone)]
pub struct Peer(Arc<PeerState>);

#[derive(Debug)]
struct PeerState {
    address: IpAddr,
    authorized: AtomicBool,
    sent_body: AtomicBool,
}

/// What counts as one peer: an IPv4 address, or the /64 of an IPv6 address, which one customer of a provider has as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network that `address` counts for.
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
    /// A new connection from `address`.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(Arc::new(PeerState { address, authorized: AtomicBool::new(false), sent_body: AtomicBool::new(false) }))
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// What counts as the same peer.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::of(self.0.address)
    }

    /// Notes that a request on this connection was authorized.
    pub fn authorize(&self) {
        // A load first: the line stays shared between cores.
        if !self.is_authorized() {
            self.0.authorized.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any request on this connection was authorized.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        self.0.authorized.load(Ordering::Relaxed)
    }

    /// Notes whether the newest request has a body.
    pub fn set_sent_body(&self, sent: bool) {
        self.0.sent_body.store(sent, Ordering::Relaxed);
    }

    /// Whether the newest request has a body, which may not have been read to its end.
    #[must_use]
    pub fn sent_body(&self) -> bool {
        self.0.sent_body.load(Ordering::Relaxed)
    }
}
