//! The host's own requests to providers of webhooks and to channels of alerts, as a trait, so
//! that tests can answer in their place.

use std::fmt;

use async_trait::async_trait;
use rustls_pki_types::CertificateDer;
use tidemill_core::{ChannelName, Code, DeploymentName, Failure};
use tidemill_engine::egress::{MailRequest, ProviderClient, ProviderRequest, ProviderResponse};

/// Sends requests of the host for a hook, and knows which authorities they trust.
#[async_trait]
pub trait ProviderRequests: fmt::Debug + Send + Sync + 'static {
    /// Sends a request for a hook of `deployment`; see [`ProviderClient::send`].
    ///
    /// # Errors
    /// Why the request was not sent, or has no answer.
    async fn send(&self, deployment: &DeploymentName, request: ProviderRequest) -> Result<ProviderResponse, Failure>;

    /// Sends a request to a channel of alerts; see [`ProviderClient::send_alert`].
    ///
    /// # Errors
    /// Why the request was not sent, or has no answer.
    async fn send_alert(&self, _: &ChannelName, _: ProviderRequest) -> Result<ProviderResponse, Failure> {
        Err(no_requests())
    }

    /// Sends an e-mail about an alert; see [`ProviderClient::send_mail`].
    ///
    /// # Errors
    /// Why it was not accepted.
    async fn send_mail(&self, _: MailRequest) -> Result<(), Failure> {
        Err(no_requests())
    }

    /// Returns the certificates of all authorities that requests trust. Blocks.
    fn authorities(&self) -> Vec<CertificateDer<'static>>;
}

#[async_trait]
impl ProviderRequests for ProviderClient {
    async fn send(&self, deployment: &DeploymentName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
        ProviderClient::send(self, deployment, request).await
    }

    async fn send_alert(&self, channel: &ChannelName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
        ProviderClient::send_alert(self, channel, request).await
    }

    async fn send_mail(&self, request: MailRequest) -> Result<(), Failure> {
        ProviderClient::send_mail(self, request).await
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        ProviderClient::authorities(self)
    }
}

fn no_requests() -> Failure {
    Code::EgressDenied.failure("this host sends no requests of its own")
}

/// A host that sends no requests of its own.
#[derive(Debug)]
pub struct NoProviders;

#[async_trait]
impl ProviderRequests for NoProviders {
    async fn send(&self, _: &DeploymentName, _: ProviderRequest) -> Result<ProviderResponse, Failure> {
        Err(no_requests())
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }
}
