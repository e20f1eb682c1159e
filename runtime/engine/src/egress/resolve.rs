//! Resolves names to addresses, here and nowhere else. Only allowed addresses reach the connection:
//! the checked address is the connected address, even if the name changes later.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// Resolves names; without permission for private addresses it returns only public ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    /// Whether addresses that are not public are returned.
    pub private: bool,
}

/// The name has addresses, but none of them may be reached.
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
