//! What the verification of PayPal's webhooks needs besides the request: the certificate with its
//! roots, or the confirmation of PayPal's API.
//!
//! A failure here is never the sender's fault, except if PayPal has no such certificate.

mod answer;
mod certificates;
mod postback;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::DeploymentName;
use tidemill_engine::secrets::SecretValue;
use tidemill_webhook::{
    CertificateUrl, HookRequest, PaypalCertificate, PostbackRequest, TrustRoots, VerificationFailure,
    VerificationInputs, VerifiedRequest, Verifier,
};
use tokio::sync::OnceCell;

use self::answer::{TIMEOUT, too_late, unavailable};
use self::certificates::CertificateSource;
use self::postback::PostbackClient;
use crate::hook::provider::ProviderRequests;

/// Verifies the requests of PayPal for all hooks of a host.
#[derive(Debug)]
pub(crate) struct PaypalVerification {
    providers: Arc<dyn ProviderRequests>,
    certificates: CertificateSource,
    roots: OnceCell<TrustRoots>,
    postbacks: PostbackClient,
}

impl PaypalVerification {
    /// Takes certificates from `folder`, or else from PayPal.
    pub(crate) fn new(providers: Arc<dyn ProviderRequests>, folder: Option<PathBuf>) -> Self {
        Self {
            certificates: CertificateSource::new(Arc::clone(&providers), folder),
            postbacks: PostbackClient::new(Arc::clone(&providers)),
            roots: OnceCell::new(),
            providers,
        }
    }

    /// Verifies a request with the certificate at `url`. `now` is a time since the host's start.
    pub(crate) async fn verify_by_certificate(
        &self,
        deployment: &DeploymentName,
        verifier: &Verifier,
        request: &HookRequest<'_>,
        url: &CertificateUrl,
        now: Duration,
    ) -> Result<VerifiedRequest, VerificationFailure> {
        let roots = self.roots().await?;
        let verify = |pem: &[u8]| {
            let certificate = Some(PaypalCertificate { pem, roots });
            verifier.verify(request, &VerificationInputs { certificate, ..VerificationInputs::default() })
        };
        match verify(&self.certificates.file(deployment, url, now).await?) {
            // PayPal may have renewed the file since it was fetched.
            Err(VerificationFailure::CertificateExpired) => {
                verify(&self.certificates.renewed(deployment, url, now).await?)
            }
            result => result,
        }
    }

    /// Verifies a request by PayPal's API, with the credentials `client-id:client-secret`.
    pub(crate) async fn verify_by_postback(
        &self,
        deployment: &DeploymentName,
        verifier: &Verifier,
        request: &HookRequest<'_>,
        question: PostbackRequest,
        client: &SecretValue,
        now: Duration,
    ) -> Result<VerifiedRequest, VerificationFailure> {
        let confirmed = self.postbacks.confirm(deployment, question, client, now);
        let confirmed = tokio::time::timeout(TIMEOUT, confirmed).await.unwrap_or_else(|_| Err(too_late()))?;
        verifier.verify(request, &VerificationInputs { confirmed: Some(confirmed), ..VerificationInputs::default() })
    }

    /// Returns the roots of the operator and of the machine, which are read once.
    async fn roots(&self) -> Result<&TrustRoots, VerificationFailure> {
        let read = || async {
            let providers = Arc::clone(&self.providers);
            let authorities = tokio::task::spawn_blocking(move || providers.authorities()).await.unwrap_or_default();
            let mut roots = TrustRoots::default();
            for authority in &authorities {
                // Certificates that only other programs can use are left out.
                let _ = roots.add(authority);
            }
            if roots.is_empty() {
                return Err(unavailable("the host knows no root certificate; set `egress_roots`"));
            }
            Ok(roots)
        };
        self.roots.get_or_try_init(read).await
    }
}
