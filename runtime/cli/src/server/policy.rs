//! The operator's policy file: loaded when the host starts, and reloaded at each SIGHUP.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use tidemill_core::Policy;
use tidemill_core::policy::POLICY_BYTES;

use crate::error::CliError;

/// A policy and the file that it was read from.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The parsed policy.
    pub policy: Policy,
}

impl PolicyFile {
    /// Reads and parses a policy file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not valid; the message lists every problem.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let shown = path.display();
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(POLICY_BYTES as u64 + 1).read_to_string(&mut text))
            .map_err(|cause| CliError::usage(format!("the policy {shown} cannot be read: {cause}"), READ_FIX));
        read?;
        let policy = Policy::parse_toml(&text).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            CliError::usage(format!("the policy {shown} is not valid: {}", all.join("; ")), VALID_FIX)
        })?;
        Ok(Self { path: path.to_owned(), policy })
    }
}

const READ_FIX: &str = "name a file that this user may read, or leave --policy out";
const VALID_FIX: &str = "correct the file; docs/src/reference/policy.md lists the valid fields";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_policy_file_lists_every_problem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(PolicyFile::read(&path).unwrap_err().to_string().contains("policy.toml"));
        std::fs::write(&path, "origins = 1\n[limits]\nfule = 1").unwrap();
        let error = PolicyFile::read(&path).unwrap_err();
        assert!(error.to_string().contains("/origins") && error.to_string().contains("/limits/fule"), "{error}");
        std::fs::write(&path, "[limits]\nfuel = 1").unwrap();
        assert_ne!(PolicyFile::read(&path).unwrap().policy, Policy::default());
    }
}
