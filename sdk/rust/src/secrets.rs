//! Signatures with secrets that never enter the sandbox. To send a secret with a request, see
//! [`Request::secret`](crate::http::Request::secret).

use crate::host::secrets as host;
use crate::{Error, Result};

/// The signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: 32 bytes.
    HmacSha256,
    /// HMAC with SHA-512: 64 bytes.
    HmacSha512,
    /// Ed25519: 64 bytes.
    Ed25519,
}

/// Signs a message with the secret of this name. Its grant needs `use = "sign"`.
///
/// # Errors
/// `host/secret-not-granted` without the grant.
pub fn sign(secret: &str, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
    let algorithm = match algorithm {
        Algorithm::HmacSha256 => "hmac-sha256",
        Algorithm::HmacSha512 => "hmac-sha512",
        Algorithm::Ed25519 => "ed25519",
    };
    host::sign(secret, algorithm, message).map_err(Error::from_failure)
}
