//! `tidemill build`: builds a project's component with the language's own tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Project;
use crate::error::CliError;
use crate::printer::Printer;

/// The Rust target of guests.
const TARGET: &str = "wasm32-wasip2";

/// Arguments of `tidemill build`.
#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &BuildArgs, printer: &Printer) -> Result<(), CliError> {
    let project = Project::read(&args.dir)?;
    if let Some(component) = build(&project, printer)? {
        let size = std::fs::metadata(&component).map_or(0, |about| about.len());
        let record = serde_json::json!({ "component": component, "size": size });
        printer.record(&record, &format!("{} ({})", component.display(), crate::text::bytes(size)));
    }
    Ok(())
}

/// Builds the project's component and returns its path; `None` if the manifest builds nothing.
///
/// # Errors
/// If the build fails, or the manifest names another path than the build's output.
pub fn build(project: &Project, printer: &Printer) -> Result<Option<PathBuf>, CliError> {
    let Some(component) = project.component() else { return Ok(None) };
    let manifest = project.folder.join("Cargo.toml");
    if !manifest.exists() {
        return Err(CliError::usage(
            format!("{} has no Cargo.toml, so this program cannot build it", project.folder.display()),
            "build its component with its own tools, then `tidemill deploy`",
        ));
    }
    printer.note(&format!("building {} for {TARGET}", project.folder.display()));
    let status = cargo(&project.folder)
        .args(["build", "--release", "--target", TARGET])
        .status()
        .map_err(|cause| CliError::machine("cannot start cargo", &cause).with_fix("install Rust: https://rustup.rs"))?;
    if !status.success() {
        return Err(CliError::failed("the project does not build").with_fix(format!(
            "fix the errors of the compiler; if the target is missing, install it with `rustup target add {TARGET}`"
        )));
    }
    if !component.exists() {
        return Err(CliError::failed(format!("the build succeeded, but there is no file at {}", component.display()))
            .with_fix("correct `component` under [module] in tidemill.toml; the crate's type must be \"cdylib\""));
    }
    Ok(Some(component))
}

/// Returns the cargo command for a project's folder. It drops the environment of the build that
/// runs this program, and sets the target folder to the project's own, which the manifest names.
pub(super) fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET");
    // Only results go to stdout.
    cargo.stdout(std::process::Stdio::null());
    cargo
}
