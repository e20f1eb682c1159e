//! Profiles: hosts that clients know by name, in one file of the user.
//!
//! A profile's token is sent only to the profile's own URL, so that `--url` cannot send it
//! elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::CliError;
use crate::printer::clean;

/// Maximum size of the profiles file, in bytes.
const FILE_BYTES: u64 = 64 << 10;
/// Name of the default profile.
const DEFAULT: &str = "default";

/// A host with its token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The URL of the host.
    pub url: String,
    /// The file of the host's token, relative to the profiles file.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// Returns the profile of that `name`, or the one called `default`; `None` if no name is given and
/// there is no such profile.
///
/// # Errors
/// If there is no profile of that name, or the file cannot be read.
pub fn find(name: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Profile>, CliError> {
    let Some(path) = path(environment) else {
        return name.map_or(Ok(None), |name| Err(unknown(name, Path::new("~/.config/tidemill/profiles.toml"), &[])));
    };
    if !path.exists() {
        return name.map_or(Ok(None), |name| Err(unknown(name, &path, &[])));
    }
    let mut profiles = read(&path)?;
    let wanted = name.unwrap_or(DEFAULT);
    match profiles.remove(wanted) {
        Some(mut profile) => {
            if let (Some(file), Some(folder)) = (&profile.token_file, path.parent()) {
                profile.token_file = Some(folder.join(file));
            }
            Ok(Some(profile))
        }
        None if name.is_none() => Ok(None),
        None => Err(unknown(wanted, &path, &profiles.into_keys().collect::<Vec<_>>())),
    }
}

fn path(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    set("TIDEMILL_PROFILES").or_else(|| Some(folder()?.join("tidemill").join("profiles.toml")))
}

fn read(path: &Path) -> Result<BTreeMap<String, Profile>, CliError> {
    let bad = |why: String| {
        CliError::usage(
            format!("{}: {why}", path.display()),
            "write for each host: [NAME], url = \"https://…\", token_file = \"…\"",
        )
    };
    let size = std::fs::metadata(path).map_err(|cause| bad(cause.to_string()))?.len();
    if size > FILE_BYTES {
        return Err(bad(format!("it is longer than {FILE_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| bad(cause.to_string()))?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        bad(format!("line {line}: {}", clean(error.message())))
    })
}

fn unknown(name: &str, path: &Path, known: &[String]) -> CliError {
    let fix = if known.is_empty() {
        "write it there: [NAME], url = \"https://…\", token_file = \"…\"".to_owned()
    } else {
        format!("use one of {}", known.join(", "))
    };
    CliError::usage(format!("there is no profile `{}` in {}", clean(name), path.display()), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, impl Fn(&str) -> Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profiles.toml");
        std::fs::write(&file, text).unwrap();
        let file = file.to_string_lossy().into_owned();
        (folder, move |name: &str| (name == "TIDEMILL_PROFILES").then(|| file.clone()))
    }

    #[test]
    fn a_profile_is_found_by_its_name_or_as_the_default() {
        let text =
            "[default]\nurl = \"http://127.0.0.1:1\"\n[prod]\nurl = \"https://example.org\"\ntoken_file = \"token\"\n";
        let (folder, environment) = with(text);
        assert_eq!(find(None, &environment).unwrap().unwrap().url, "http://127.0.0.1:1");
        let prod = find(Some("prod"), &environment).unwrap().unwrap();
        assert_eq!(prod.token_file, Some(folder.path().join("token")));
        let error = find(Some("prd"), &environment).unwrap_err();
        assert!(error.exit_code() == 2 && error.fix().unwrap().contains("default, prod"), "{error:?}");
    }

    #[test]
    fn no_file_is_no_profile_unless_one_is_named() {
        let nowhere = |name: &str| (name == "HOME").then(|| "/there/is/no/such/folder".to_owned());
        assert_eq!(find(None, &nowhere).unwrap(), None);
        assert_eq!(find(Some("prod"), &nowhere).unwrap_err().exit_code(), 2);
        assert_eq!(find(None, &|_| None).unwrap(), None);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let (_folder, environment) = with("[default]\nurl = \"x\"\ntoken = \"not here\"\n");
        let error = find(None, &environment).unwrap_err();
        assert!(error.to_string().contains("line ") && error.exit_code() == 2, "{error}");
    }
}
