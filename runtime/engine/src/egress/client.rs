//! The underlying HTTP client: its configuration, its resolution of names, and the meaning of its
//! errors.
//!
//! Names are resolved here and nowhere else. Only allowed addresses reach the connection: the
//! checked address is the connected address, even if the name changes later.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, redirect};
use tidemill_core::{Code, Failure};

use super::address::is_public;
use super::authorize::refused;
use super::roots::Roots;
use super::target::Target;

/// Timeout for connecting, within the timeout of the try.
const CONNECT: Duration = Duration::from_secs(10);
/// Maximum number of idle connections to a host, and how long they are kept.
const IDLE_PER_HOST: usize = 16;
const IDLE: Duration = Duration::from_secs(60);

/// Resolves names; without permission for private addresses it returns only public ones.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    /// Whether addresses that are not public are returned.
    private: bool,
}

/// The name has addresses, but none of them may be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{name}` leads to {address}, which is not on the public internet")]
struct RefusedAddress {
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
                    Err(RefusedAddress { name: name.as_str().to_owned(), address: refused.ip() }.into())
                }
                _ => Ok(Box::new(kept.into_iter()) as Addrs),
            }
        })
    }
}

/// Returns a client, or the reason if TLS cannot be set up, such as on a machine without root
/// certificates.
pub(super) fn client(private: bool, roots: &Roots) -> Result<Client, String> {
    // Ignore the error: a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |error: reqwest::Error| format!("this host cannot send requests: {error}");
    let roots: Result<Vec<_>, _> = roots.ders().map(Certificate::from_der).collect();
    Client::builder()
        .tls_certs_merge(roots.map_err(failed)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Resolver { private })
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .referer(false)
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)
}

/// Converts an error to a failure without the URL, which can contain a secret.
pub(super) fn failure_of(error: reqwest::Error, target: &Target) -> Failure {
    let origin = &target.origin;
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(address) = inner.downcast_ref::<RefusedAddress>() {
            return refused(origin, &address.to_string());
        }
        words = inner.to_string();
        cause = inner.source();
    }
    let words: String = words.chars().take(300).collect();
    if error.is_timeout() {
        Code::HttpTimeout.failure(format!("{origin} did not answer in time"))
    } else if error.is_builder() {
        Code::HttpBadRequest.failure(format!("the request to {origin} cannot be sent: {words}"))
    } else if error.is_connect() {
        Code::HttpConnectFailed.failure(format!("{origin} could not be reached: {words}"))
    } else {
        Code::HttpBadAnswer.failure(format!("{origin} sent an invalid HTTP response: {words}"))
    }
}
