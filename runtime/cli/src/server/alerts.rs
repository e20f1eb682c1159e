//! The operator's configuration of alerts: loaded when the host starts, and reloaded at each
//! SIGHUP.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use tidemill_core::alerts::{ALERT_CONFIG_BYTES, AlertConfig};

use crate::error::CliError;

/// A configuration of alerts and the file that it was read from.
#[derive(Debug, Clone)]
pub struct AlertFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The parsed configuration.
    pub config: AlertConfig,
}

impl AlertFile {
    /// Reads and parses a configuration of alerts.
    ///
    /// # Errors
    /// If the file cannot be read, or is not valid; the message lists every problem.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let shown = path.display();
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(ALERT_CONFIG_BYTES as u64 + 1).read_to_string(&mut text))
            .map_err(|cause| CliError::usage(format!("the alerts in {shown} cannot be read: {cause}"), READ_FIX));
        read?;
        let config = AlertConfig::parse_toml(&text).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            CliError::usage(format!("the alerts in {shown} are not valid: {}", all.join("; ")), VALID_FIX)
        })?;
        Ok(Self { path: path.to_owned(), config })
    }
}

const READ_FIX: &str = "name a file that this user may read, or leave --alerts out";
const VALID_FIX: &str = "correct the file; docs/src/operate/alerts.md lists the valid fields";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_configuration_lists_every_problem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.toml");
        assert!(AlertFile::read(&path).unwrap_err().to_string().contains("alerts.toml"));
        std::fs::write(&path, "repeat = 1\n[routes.page]\nchannels = [\"team\"]").unwrap();
        let error = AlertFile::read(&path).unwrap_err();
        assert!(error.to_string().contains("/repeat") && error.to_string().contains("/routes/page"), "{error}");
        std::fs::write(&path, "repeat = \"2h\"").unwrap();
        assert_ne!(AlertFile::read(&path).unwrap().config, AlertConfig::default());
    }
}
