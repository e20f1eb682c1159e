//! Sources of secrets: the environment and files. Values enter requests and signatures only, never
//! the sandbox, a log or an error.

use std::fmt;
use std::path::PathBuf;

/// Maximum size of a secret, in bytes.
pub const SECRET_BYTES: usize = 64 * 1024;
/// Minimum size of a secret that a request may carry, in bytes. A shorter one would match
/// everywhere in a response.
pub const SECRET_SENT_MIN_BYTES: usize = 8;

/// The value of a secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// Returns the secret with these bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(hidden)")
    }
}

/// Provides secrets by name.
pub trait SecretSource: Send + Sync + 'static {
    /// Returns the secret with that name, if it exists. Read at each use, so that a secret can be
    /// rotated.
    fn secret(&self, name: &str) -> Option<SecretValue>;

    /// Returns a description of where an operator puts the secret with that name. A guest can read
    /// it, so it contains no path of the host.
    fn place(&self, name: &str) -> String;
}

/// Secrets from environment variables `TIDEMILL_SECRET_<NAME>` (in capitals, hyphens as
/// underscores) and from files `<folder>/<name>`. The environment has precedence; one newline at
/// the end of a file is ignored.
#[derive(Debug, Clone)]
pub struct EnvironmentAndFiles {
    folder: Option<PathBuf>,
}

impl EnvironmentAndFiles {
    /// Returns a source with files from `folder`, if it is set.
    #[must_use]
    pub const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    fn variable(name: &str) -> String {
        format!("TIDEMILL_SECRET_{}", name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// Whether a text can name a secret: 1 to 63 lower-case letters, digits and hyphens.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
}

impl SecretSource for EnvironmentAndFiles {
    fn secret(&self, name: &str) -> Option<SecretValue> {
        if !is_secret_name(name) {
            return None;
        }
        if let Ok(value) = std::env::var(Self::variable(name)) {
            return (value.len() <= SECRET_BYTES).then(|| SecretValue(value.into_bytes()));
        }
        let path = self.folder.as_ref()?.join(name);
        if std::fs::metadata(&path).ok()?.len() > SECRET_BYTES as u64 {
            return None;
        }
        let mut bytes = std::fs::read(path).ok()?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Some(SecretValue(bytes))
    }

    fn place(&self, name: &str) -> String {
        let variable = Self::variable(name);
        let file =
            if self.folder.is_some() { format!(" or the file `{name}` of the host's secrets") } else { String::new() };
        format!("the environment variable `{variable}`{file}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_secret_without_the_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("api-key"), "s3cret\n").unwrap();
        let source = EnvironmentAndFiles::new(Some(folder.path().to_owned()));
        assert_eq!(source.secret("api-key").unwrap().expose(), b"s3cret");
        assert!(source.secret("other").is_none());
        let place = source.place("api-key");
        assert!(place.contains("TIDEMILL_SECRET_API_KEY") && place.contains("`api-key`"), "{place}");
        assert!(!place.contains(folder.path().to_str().unwrap()), "{place}");
    }

    #[test]
    fn names_outside_the_folder_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("out"), "x").unwrap();
        let source = EnvironmentAndFiles::new(Some(folder.path().join("in")));
        for name in ["../out", "", ".", "a/b", "A"] {
            assert!(source.secret(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_value_is_not_shown() {
        assert_eq!(format!("{:?}", SecretValue::new(b"s3cret".to_vec())), "SecretValue(hidden)");
    }
}
