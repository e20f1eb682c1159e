//! `tidemill test [DIR]`: runs a project's tests with the language's own tools, without a host.

use std::path::PathBuf;

use super::Project;
use super::build::cargo;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Run only tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// Runs the command. Reads the manifest first: a project that cannot be deployed fails even if its
/// tests pass.
pub fn run(args: &TestArgs, printer: &Printer) -> Result<(), CliError> {
    let project = Project::read(&args.dir)?;
    if !project.folder.join("Cargo.toml").exists() {
        return Err(CliError::usage(
            format!("{} has no Cargo.toml, so this program cannot test it", project.folder.display()),
            "test it with its own tools",
        ));
    }
    printer.note(&format!("testing {}", project.folder.display()));
    let mut tests = cargo(&project.folder);
    tests.arg("test");
    if let Some(filter) = &args.filter {
        tests.args(["--", filter]);
    }
    // The output of the tests is the result of the command, so it goes to stdout.
    let status = tests
        .stdout(std::process::Stdio::inherit())
        .status()
        .map_err(|cause| CliError::machine("cannot start cargo", &cause).with_fix("install Rust: https://rustup.rs"))?;
    if !status.success() {
        return Err(CliError::failed("the project's tests fail").with_fix("fix the failing tests"));
    }
    Ok(())
}
