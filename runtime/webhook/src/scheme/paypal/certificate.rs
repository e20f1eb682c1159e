//! PayPal's certificate: its chain, its name, and the signature that it verifies.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tidemill_core::Timestamp;
use tidemill_core::hook::HookEnvironment;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use crate::failure::VerificationFailure;
use crate::inputs::PaypalCertificate;

/// Maximum size of the file, in bytes.
const FILE_BYTES: usize = 64 * 1024;
/// Maximum number of certificates in the file.
const CERTIFICATES: usize = 8;

/// Checks that the leaf of the file may sign for PayPal at the time of receipt, and that the
/// signature of `text` is its own.
pub(crate) fn verify(
    certificate: PaypalCertificate<'_>,
    environment: HookEnvironment,
    received_at: Timestamp,
    text: &[u8],
    signature: &[u8],
) -> Result<(), VerificationFailure> {
    let refused = |why: &dyn std::fmt::Display| VerificationFailure::CertificateRefused(why.to_string());
    if certificate.pem.len() > FILE_BYTES {
        return Err(refused(&"the file has more than 64 KiB"));
    }
    let chain = CertificateDer::pem_slice_iter(certificate.pem).take(CERTIFICATES + 1);
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|bad| refused(&bad))?;
    let Some((leaf, intermediates)) = chain.split_first().filter(|_| chain.len() <= CERTIFICATES) else {
        return Err(refused(&"the file does not contain one to eight certificates"));
    };
    let leaf = EndEntityCert::try_from(leaf).map_err(|bad| refused(&bad))?;
    // The roots are those of the operator or of the machine. A root in the file is an intermediate
    // that no root has signed.
    let at = UnixTime::since_unix_epoch(Duration::from_millis(received_at.as_millis()));
    let anchors = certificate.roots.anchors();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, anchors, intermediates, at, KeyUsage::server_auth(), None, None)
        .map_err(|bad| match bad {
            webpki::Error::CertExpired { .. } => VerificationFailure::CertificateExpired,
            bad => refused(&bad),
        })?;
    let name = ServerName::try_from(match environment {
        HookEnvironment::Live => "messageverificationcerts.paypal.com",
        HookEnvironment::Test => "messageverificationcerts.sandbox.paypal.com",
    });
    let name = name.map_err(|bad| refused(&bad))?;
    leaf.verify_is_valid_for_subject_name(&name).map_err(|bad| refused(&bad))?;
    leaf.verify_signature(RSA_PKCS1_2048_8192_SHA256, text, signature).map_err(|bad| match bad {
        webpki::Error::InvalidSignatureForPublicKey => VerificationFailure::WrongSignature,
        bad => refused(&bad),
    })
}
