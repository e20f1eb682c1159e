//! Names become addresses here and nowhere else, and only those that may be reached go on to the connection: what was
//! checked is what is connected to, whatever the name says a moment later.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// Resolves names; without the leave to reach private addresses it gives public ones only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    /// Whether addresses that are not public are given too.
    pub private: bool,
}

/// The name has addresses, and none of them may be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{name}` leads to {address}, which is not on the public internet")]
pub(super) struct AddressRefused {
    name: String,
    address: std::net::IpAddr,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let kept: Vec<SocketAddr> = all.iter().copied().filter(|a| private || is_public(a.ip())).collect();
            match (kept.is_empty(), all.first()) {
                (true, Some(refused)) => {
                    Err(AddressRefused { name: name.as_str().to_owned(), address: refused.ip() }.into())
                }
                _ => Ok(Box::new(kept.into_iter()) as Addrs),
            }
        })
    }
}
