//! Commands about a project's folder: create, build, test, check and deploy it.

pub mod build;
pub mod check;
pub mod deploy;
pub mod new;
mod rehearse;
mod sources;
mod templates;
pub mod test;

use std::path::{Path, PathBuf};

use tidemill_core::manifest::{MODULE_FILE_BYTES, ModuleFile, line_of};

use crate::error::CliError;

/// Name of the manifest in a project's folder.
pub const MANIFEST: &str = "tidemill.toml";

/// A project's folder with its parsed manifest.
#[derive(Debug)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The parsed manifest.
    pub file: ModuleFile,
    /// The text of the manifest.
    pub text: String,
}

impl Project {
    /// Reads and parses the manifest in `folder`.
    ///
    /// # Errors
    /// Every problem of the manifest.
    pub fn read(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(MANIFEST);
        let missing = |why: &dyn std::fmt::Display| {
            CliError::usage(
                format!("no manifest at {}: {why}", path.display()),
                "go to a module's folder, name it, or make one with `tidemill new workflow NAME`",
            )
        };
        let size = std::fs::metadata(&path).map_err(|cause| missing(&cause))?.len();
        if size > MODULE_FILE_BYTES as u64 {
            return Err(missing(&format!("it is longer than {MODULE_FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(|cause| missing(&cause))?;
        let file = ModuleFile::parse_toml(&text).map_err(|problems| CliError::Failed {
            code: Some(tidemill_core::Code::BadManifest.as_str().to_owned()),
            message: format!(
                "{} is not valid:{}",
                path.display(),
                problems
                    .iter()
                    .map(|problem| format!("\n  {}{problem}", at_line(&text, &problem.pointer)))
                    .collect::<String>()
            ),
            fix: None,
        })?;
        Ok(Self { folder: folder.to_owned(), file, text })
    }

    /// Adds to each field of a refusal its line in the manifest's file.
    pub fn with_lines(&self, error: CliError) -> CliError {
        match error {
            CliError::Refused(mut problem) => {
                for field in &mut problem.errors {
                    field.pointer = format!("{}{}", at_line(&self.text, &field.pointer), field.pointer);
                }
                CliError::Refused(problem)
            }
            error => error,
        }
    }

    /// Returns the path of the built component; `None` if the manifest deploys a module that is
    /// already on the host.
    pub fn component(&self) -> Option<PathBuf> {
        self.file.module.as_ref().map(|module| self.folder.join(&module.component))
    }

    /// Reads the component's bytes.
    ///
    /// # Errors
    /// If the file does not exist, or is larger than any host accepts.
    pub fn component_bytes(&self) -> Result<Option<Vec<u8>>, CliError> {
        self.component().map(|path| read_component(&path)).transpose()
    }
}

/// Returns `tidemill.toml:12: `, or an empty text if the pointer leads to no line.
fn at_line(text: &str, pointer: &str) -> String {
    line_of(text, pointer).map(|line| format!("{MANIFEST}:{line}: ")).unwrap_or_default()
}

/// Reads the bytes of a component's file.
///
/// # Errors
/// If the file does not exist, or is larger than any host accepts.
pub fn read_component(path: &Path) -> Result<Vec<u8>, CliError> {
    let absent = |cause: std::io::Error| {
        CliError::usage(format!("no component at {}: {cause}", path.display()), "build it first: `tidemill build`")
    };
    let size = std::fs::metadata(path).map_err(absent)?.len();
    if size > tidemill_core::limits::COMPONENT_BYTES {
        return Err(CliError::Failed {
            code: Some(tidemill_core::Code::ComponentTooLarge.as_str().to_owned()),
            message: format!("{} has {}; the maximum is 64 MiB", path.display(), crate::text::bytes(size)),
            fix: Some("build it in release mode, and without debug information: strip = \"debuginfo\"".to_owned()),
        });
    }
    std::fs::read(path).map_err(absent)
}
