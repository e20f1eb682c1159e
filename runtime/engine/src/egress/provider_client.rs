//! The host's own requests: to providers of webhooks, by the same rules as those of a deployment,
//! and to channels of alerts.
//!
//! The origin is the only one that such a request may reach. It follows no redirect, makes one try,
//! and its answer is bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tidemill_core::breaker::CallPurpose;
use tidemill_core::ids::InvalidName;
use tidemill_core::manifest::Grants;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::{ChannelName, Code, DeploymentName, Failure, Limits, Policy};

use super::authorize::Authorization;
use super::egress_client::Egress;
use super::mail::{self, MailRequest};
use super::outgoing::{HttpRetry, RequestDraft};
use super::policy::EgressPolicy;
use super::request_context::RequestContext;
use super::usage::{BodyBudget, HttpUsage};
use crate::secrets::SecretSource;

/// A request of the host to a provider.
#[derive(Clone)]
pub struct ProviderRequest {
    /// The method.
    pub method: &'static str,
    /// The origin, such as `https://api.paypal.com`.
    pub origin: String,
    /// The path with the query.
    pub path: String,
    /// The headers. They may hold credentials, which a log never shows.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Maximum time until the whole answer is read.
    pub timeout: Duration,
    /// Maximum size of the answer's body, in bytes.
    pub answer_bytes: usize,
}

impl fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderRequest({} {}{})", self.method, self.origin, self.path)
    }
}

/// The answer of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends requests of the host, and knows the authorities that they trust. Cheap to clone.
#[derive(Clone)]
pub struct ProviderClient {
    egress: Arc<Egress>,
    policy: Arc<EgressPolicy>,
    operator: PolicyInForce,
    secrets: Arc<dyn SecretSource>,
}

impl ProviderClient {
    pub(crate) fn new(
        egress: Arc<Egress>,
        policy: Arc<EgressPolicy>,
        operator: PolicyInForce,
        secrets: Arc<dyn SecretSource>,
    ) -> Self {
        Self { egress, policy, operator, secrets }
    }

    /// Sends a request for a hook of `deployment`, whose rules and limits of concurrency apply.
    ///
    /// # Errors
    /// Why the request was not sent, or has no answer.
    pub async fn send(
        &self,
        deployment: &DeploymentName,
        request: ProviderRequest,
    ) -> Result<ProviderResponse, Failure> {
        self.send_as(deployment.to_string(), self.operator.now(), request).await
    }

    /// Sends a request to a channel of alerts. The operator has chosen its origin, so that only the
    /// rules of the host apply, and none of a deployment.
    ///
    /// # Errors
    /// Why the request was not sent, or has no answer.
    pub async fn send_alert(
        &self,
        channel: &ChannelName,
        request: ProviderRequest,
    ) -> Result<ProviderResponse, Failure> {
        // No deployment has this name, so that a channel has limits of its own.
        self.send_as(format!("alerts/{channel}"), Arc::default(), request).await
    }

    /// Sends an e-mail about an alert.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub async fn send_mail(&self, request: MailRequest) -> Result<(), Failure> {
        mail::send(&self.policy, request).await
    }

    async fn send_as(
        &self,
        sender: String,
        operator: Arc<Policy>,
        request: ProviderRequest,
    ) -> Result<ProviderResponse, Failure> {
        let ProviderRequest { method, origin, path, headers, body, timeout, answer_bytes } = request;
        let grant = origin.parse().map_err(|bad: InvalidName| Code::Internal.failure(bad.to_string()))?;
        let draft = RequestDraft {
            method: method.to_owned(),
            url: format!("{origin}{path}"),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body,
            secrets: Vec::new(),
            timeout: u64::try_from(timeout.as_millis()).ok(),
            retry: Some(HttpRetry::NEVER),
            redirects: Some(0),
        };
        let context = RequestContext {
            authorization: Authorization {
                deployment: sender,
                policy: Arc::clone(&self.policy),
                operator,
                grants: Arc::new(Grants { http: vec![grant], ..Grants::default() }),
                secrets: Arc::clone(&self.secrets),
            },
            purpose: CallPurpose::Ordinary,
            limits: Limits::default(),
            usage: Arc::new(HttpUsage::default()),
            budget: Arc::new(BodyBudget::new(answer_bytes)),
            salt: 0,
            cancel: None,
        };
        // The time counts from here, so that a request that waits for others ends in time too.
        let late = || Code::HttpTimeout.failure(format!("{origin} did not answer within {} ms", timeout.as_millis()));
        let sent = tokio::time::timeout(timeout, self.egress.send(draft.check()?, &context)).await;
        let response = sent.unwrap_or_else(|_| Err(late()))?;
        Ok(ProviderResponse { status: response.status, body: response.body })
    }

    /// Reads the certificates of all authorities that requests trust: those of the operator, and
    /// those of the machine. Blocks while it reads files.
    #[must_use]
    pub fn authorities(&self) -> Vec<CertificateDer<'static>> {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a root certificate of this machine cannot be read");
        }
        let own = self.policy.roots.ders().map(|der| CertificateDer::from(der.to_vec()));
        found.certs.into_iter().chain(own).collect()
    }
}

impl fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderClient")
    }
}
