//! Commands about a module's folder: make one, build it, test it, look at its component, deploy it.

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

/// The manifest's name in a module's folder.
pub const MANIFEST: &str = "tidemill.toml";

/// A module's folder with its manifest, read.
#[derive(Debug)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// What its manifest says.
    pub file: ModuleFile,
    /// The text of the manifest.
    pub text: String,
}

impl Project {
    /// Reads the manifest in `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
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

    /// The same refusal, with the line of the manifest's file before each field.
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

    /// Where the built component is; none where the manifest deploys a module that is on the host already.
    pub fn component(&self) -> Option<PathBuf> {
        self.file.module.as_ref().map(|module| self.folder.join(&module.component))
    }

    /// The component's bytes.
    ///
    /// # Errors
    /// Where it is not there, or larger than any host takes.
    pub fn component_bytes(&self) -> Result<Option<Vec<u8>>, CliError> {
        self.component().map(|path| read_component(&path)).transpose()
    }
}

/// `tidemill.toml:12: `; nothing if the pointer leads to no line.
fn at_line(text: &str, pointer: &str) -> String {
    line_of(text, pointer).map(|line| format!("{MANIFEST}:{line}: ")).unwrap_or_default()
}

/// The bytes of a component's file.
///
/// # Errors
/// Where it is not there, or larger than any host takes.
pub fn read_component(path: &Path) -> Result<Vec<u8>, CliError> {
    let absent = |cause: std::io::Error| {
        CliError::usage(format!("no component at {}: {cause}", path.display()), "build it first: `tidemill build`")
    };
    let size = std::fs::metadata(path).map_err(absent)?.len();
    if size > tidemill_core::limits::COMPONENT_BYTES {
        return Err(CliError::Failed {
            code: Some(tidemill_core::Code::ComponentTooLarge.as_str().to_owned()),
            message: format!("{} has {}, where 64 MiB are allowed", path.display(), crate::wire::bytes(size)),
            fix: Some("build it in release mode, and without debug information: strip = \"debuginfo\"".to_owned()),
        });
    }
    std::fs::read(path).map_err(absent)
}
