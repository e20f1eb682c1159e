//! Why bytes were not sealed or opened.

use tidemill_core::{Code, Failure};

use crate::key::KeyId;

/// Why bytes were not sealed or opened. No variant holds any part of a key or of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The host runs without a master key.
    #[error(
        "the host has no master key; set TIDEMILL_MASTER_KEY, TIDEMILL_MASTER_KEY_FILE or TIDEMILL_MASTER_KEY_COMMAND \
         and restart it (`tidemill secrets new-master-key` makes a key)"
    )]
    NoMasterKey,
    /// The bytes were sealed with a master key that the host was not given.
    #[error("sealed with the master key {0}, which the host was not given; set it as the old master key and restart")]
    OtherMasterKey(KeyId),
    /// The bytes were changed, or belong to another record or version.
    #[error("the sealed bytes were changed, or belong to another record or version; restore them from a backup")]
    Damaged,
    /// The text to seal is too long.
    #[error("a text of {0} bytes is too long to be sealed; at most 16 MiB")]
    TooLong(usize),
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers; try again")]
    NoRandom,
}

impl VaultError {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoMasterKey | Self::OtherMasterKey(_) => Code::MasterKey,
            Self::Damaged => Code::SecretDamaged,
            Self::TooLong(_) => Code::BodyTooLarge,
            Self::NoRandom => Code::Internal,
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let code = error.code();
        let new = if code.is_retryable() { Self::retryable } else { Self::new };
        new(code.as_str().to_owned(), error.to_string())
    }
}
