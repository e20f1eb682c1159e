//! Secrets: their values, and where they come from. A value enters requests and signatures only,
//! never the sandbox, a log or an error.

mod environment;
mod stored;

use std::fmt;

use tidemill_core::Failure;
use zeroize::Zeroizing;

pub use environment::EnvironmentAndFiles;
pub use stored::StoredSecrets;

/// Maximum size of a secret, in bytes.
pub const SECRET_BYTES: usize = 64 * 1024;
/// Minimum size of a secret that a request may carry, in bytes. A shorter one would match
/// everywhere in a response.
pub const SECRET_SENT_MIN_BYTES: usize = 8;

/// The value of a secret; never shown, and overwritten if it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Returns the secret with these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns its bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretValue {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(hidden)")
    }
}

/// Provides secrets by name.
pub trait SecretSource: Send + Sync + 'static {
    /// Returns the newest value of the secret with that name, if it exists: the one that signs and
    /// that requests carry. Read at each use, so that a secret can be rotated.
    ///
    /// # Errors
    /// `host/master-key` or `host/secret-damaged` if the value is stored and cannot be opened.
    fn secret(&self, name: &str) -> Result<Option<SecretValue>, Failure>;

    /// Returns all values of the secret that are valid now, newest first: what verifies a signature
    /// tries each of them.
    ///
    /// # Errors
    /// As [`SecretSource::secret`].
    fn valid_versions(&self, name: &str) -> Result<Vec<SecretValue>, Failure> {
        Ok(self.secret(name)?.into_iter().collect())
    }

    /// Returns a description of where an operator puts the secret with that name. A guest can read
    /// it, so it contains no path of the host.
    fn place(&self, name: &str) -> String;
}

/// Whether a text can name a secret: 1 to 63 lower-case letters, digits and hyphens.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_shown() {
        assert_eq!(format!("{:?}", SecretValue::new(b"s3cret".to_vec())), "SecretValue(hidden)");
    }
}
