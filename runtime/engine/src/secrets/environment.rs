//! Secrets from the environment and from files. Read-only.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tidemill_core::Failure;

use super::{SECRET_BYTES, SecretSource, SecretValue, is_secret_name};

/// Prefix of the environment variables that hold secrets.
const PREFIX: &str = "TIDEMILL_SECRET_";
/// Maximum number of names that are listed from each place.
const NAMES: usize = 1_000;

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
        format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
    }

    fn read(&self, name: &str) -> Option<SecretValue> {
        if !is_secret_name(name) {
            return None;
        }
        if let Ok(value) = std::env::var(Self::variable(name)) {
            return (value.len() <= SECRET_BYTES).then(|| SecretValue::new(value.into_bytes()));
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
        Some(SecretValue::new(bytes))
    }

    /// Whether a secret with that name exists.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.read(name).is_some()
    }

    /// Returns the names of its secrets, sorted: at most 1,000 of each place.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let variables = std::env::vars_os().filter_map(|(variable, _)| {
            let name = variable.to_str()?.strip_prefix(PREFIX)?;
            Some(name.to_ascii_lowercase().replace('_', "-"))
        });
        let files = self.folder.iter().flat_map(std::fs::read_dir).flatten().flatten();
        let files = files.filter_map(|entry| entry.file_name().into_string().ok());
        let of_files = files.filter(|name| is_secret_name(name)).take(NAMES);
        let names: BTreeSet<_> = variables.filter(|name| is_secret_name(name)).take(NAMES).chain(of_files).collect();
        names.into_iter().collect()
    }
}

impl SecretSource for EnvironmentAndFiles {
    fn secret(&self, name: &str) -> Result<Option<SecretValue>, Failure> {
        Ok(self.read(name))
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
        std::fs::write(folder.path().join("Not a name"), "x").unwrap();
        let source = EnvironmentAndFiles::new(Some(folder.path().to_owned()));
        assert_eq!(source.secret("api-key").unwrap().unwrap().expose(), b"s3cret");
        assert_eq!(source.valid_versions("api-key").unwrap().len(), 1);
        assert!(source.secret("other").unwrap().is_none() && source.valid_versions("other").unwrap().is_empty());
        assert_eq!(source.names(), ["api-key"]);
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
            assert!(source.secret(name).unwrap().is_none(), "{name}");
        }
    }
}
