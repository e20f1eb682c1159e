//! What verification needs besides the request: the versions of the hook's secret, and for PayPal
//! the certificate with the roots, or PayPal's confirmation.

use rustls_pki_types::{CertificateDer, TrustAnchor};
use tidemill_core::ids::SecretName;

use crate::certificate_url::CertificateUrl;
use crate::scheme::paypal::postback::PostbackRequest;

/// What a request needs to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationNeed {
    /// Nothing.
    Nothing,
    /// All valid versions of this secret.
    Keys(SecretName),
    /// All valid versions of the secret with the token of a handshake.
    HandshakeTokens(SecretName),
    /// The certificate at this URL.
    Certificate(CertificateUrl),
    /// The confirmation of PayPal's API.
    Confirmation(Box<PostbackRequest>),
}

/// What verification needs besides the request; only what [`VerificationNeed`] names.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerificationInputs<'a> {
    /// All valid versions of the hook's secret, or of the token of a handshake.
    pub keys: &'a [&'a [u8]],
    /// PayPal's certificate.
    pub certificate: Option<PaypalCertificate<'a>>,
    /// Whether PayPal's API confirmed the signature.
    pub confirmed: Option<bool>,
}

/// A file with PayPal's certificate and the roots to which its chain must lead.
#[derive(Debug, Clone, Copy)]
pub struct PaypalCertificate<'a> {
    /// The file: the leaf, then intermediates, in PEM.
    pub pem: &'a [u8],
    /// The roots of the operator or of the machine.
    pub roots: &'a TrustRoots,
}

/// Root certificates that a chain may lead to.
#[derive(Debug, Clone, Default)]
pub struct TrustRoots(Vec<TrustAnchor<'static>>);

/// A certificate that cannot be a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be a root: {0}")]
pub struct UnusableRoot(String);

impl TrustRoots {
    /// Adds a root.
    ///
    /// # Errors
    /// If the certificate is malformed.
    pub fn add(&mut self, root: &CertificateDer<'_>) -> Result<(), UnusableRoot> {
        let anchor = webpki::anchor_from_trusted_cert(root).map_err(|bad| UnusableRoot(bad.to_string()))?;
        self.0.push(anchor.to_owned());
        Ok(())
    }

    /// Number of roots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.0
    }
}
