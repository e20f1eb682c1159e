//! Certificate authorities that an operator trusts in addition to the machine's own, such as that
//! of a proxy that intercepts TLS.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Maximum number of certificates, and maximum size of the text in bytes.
const ROOTS: usize = 1_000;
const PEM_BYTES: usize = 1 << 20;

/// Certificates of authorities. Empty by default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Roots(Vec<CertificateDer<'static>>);

/// A text without certificates that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoots {
    /// There is none, or there are too many.
    #[error("the text has {0} certificates; it must have 1 to {ROOTS}")]
    Count(usize),
    /// The text is too long.
    #[error("the text is longer than {PEM_BYTES} bytes")]
    TooLong,
    /// The text is not PEM.
    #[error("the text is not PEM: {0}")]
    Pem(String),
    /// One certificate is invalid.
    #[error("certificate {number} cannot be trusted: {why}")]
    Certificate {
        /// Number of the certificate, from 1.
        number: usize,
        /// The reason.
        why: String,
    },
}

impl Roots {
    /// Reads the `CERTIFICATE` sections of a PEM text, such as a file `*.pem` or `*.crt`.
    ///
    /// # Errors
    /// If the text is longer than 1 MiB, or holds no certificate, more than 1,000, or an invalid
    /// one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadRoots> {
        if pem.len() > PEM_BYTES {
            return Err(BadRoots::TooLong);
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = read.map_err(|error| BadRoots::Pem(error.to_string()))?;
        if all.is_empty() || all.len() > ROOTS {
            return Err(BadRoots::Count(all.len()));
        }
        let mut store = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&all) {
            store.add(certificate.clone()).map_err(|error| BadRoots::Certificate { number, why: error.to_string() })?;
        }
        Ok(Self(all))
    }

    /// Returns each certificate in DER.
    pub(super) fn ders(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_without_valid_certificates_is_refused() {
        assert_eq!(Roots::from_pem(b""), Err(BadRoots::Count(0)));
        assert_eq!(Roots::from_pem(&vec![b'x'; PEM_BYTES + 1]), Err(BadRoots::TooLong));
        let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Roots::from_pem(no_certificate), Err(BadRoots::Certificate { number: 1, .. })));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(Roots::from_pem(cut), Err(BadRoots::Pem(_))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "(-----(BEGIN|END) [A-Z]{0,12}-----\n|[A-Za-z0-9+/=]{0,40}\n|\\PC{0,20}){0,8}") {
            let _ = Roots::from_pem(text.as_bytes());
        }
    }
}
