//! `tidemill check [PATH]`: lists every problem of a component or a project's manifest as a host
//! would, and previews its schedules, without a host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tidemill_api_types::{FieldProblem, ProblemDetails};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::{Code, ComponentDigest, Manifest, wire};
use tidemill_engine::{CompilerCommand, ComponentInfo, Engine, EngineConfig};
use tidemill_store::EmbeddedStore;

use super::Project;
use crate::error::CliError;
use crate::printer::Printer;
use crate::schedule::upcoming::{self, FIRINGS};
use crate::text::bytes;

/// Arguments of `tidemill check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A component's file, or a project's folder with its manifest
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// Runs the command.
pub async fn run(args: &CheckArgs, printer: &Printer) -> Result<(), CliError> {
    if !args.path.is_dir() {
        let (record, text) = CheckedComponent::of(&args.path, printer).await?.shown();
        printer.record(&record, &text);
        return Ok(());
    }
    let project = Project::read(&args.path)?;
    let manifest = &project.file.manifest;
    let long_jitters = manifest.long_jitters(SystemClock.now());
    if !long_jitters.is_empty() {
        return Err(refused("the manifest cannot be deployed so".to_owned(), long_jitters));
    }
    for schedule in &manifest.schedules {
        schedule.warnings().for_each(|warning| printer.warn(&format!("schedule `{}`: {warning}", schedule.name())));
    }
    let schedules = upcoming::upcoming(manifest, SystemClock.now());
    let mut record = json!({ "manifest": name(&project.file.manifest), "schedules": schedules });
    let mut text = format!("{}: good", args.path.join(super::MANIFEST).display());
    for schedule in &schedules {
        text = format!("{text}\n{}", upcoming::text(schedule, FIRINGS));
    }
    match project.component() {
        Some(path) if path.exists() => {
            let checked = CheckedComponent::of(&path, printer).await?;
            checked.fits(&project.file.manifest).map_err(|error| project.with_lines(error))?;
            let (component, more) = checked.shown();
            record["component"] = component;
            text = format!("{text}\n{more}");
        }
        Some(path) => printer.note(&format!("{} is not built yet: checked only the manifest", path.display())),
        None => {}
    }
    printer.record(&record, &text);
    Ok(())
}

fn name(manifest: &Manifest) -> &str {
    manifest.name.as_ref().map_or("", |name| name.as_str())
}

/// A component that a host would admit.
pub(super) struct CheckedComponent<'a> {
    file: &'a Path,
    digest: ComponentDigest,
    size: u64,
    admitted: ComponentInfo,
}

impl<'a> CheckedComponent<'a> {
    /// Admits a component as a host does, with a separate engine over an empty folder.
    pub(super) async fn of(file: &'a Path, printer: &Printer) -> Result<Self, CliError> {
        let component = super::read_component(file)?;
        let folder =
            tempfile::tempdir().map_err(|cause| CliError::machine("cannot make a folder to work in", &cause))?;
        let compiler =
            CompilerCommand::this_program().map_err(|cause| CliError::machine("cannot find this program", &cause))?;
        let path = folder.path().join("store");
        let (store, _) = tokio::task::spawn_blocking(move || EmbeddedStore::open(EmbeddedStore::config(&path)))
            .await
            .map_err(|cause| CliError::machine("cannot open a store", &cause))?
            .map_err(|cause| CliError::machine("cannot open a store", &cause))?;
        let config = EngineConfig { concurrency: 1, guest_threads: 1, ..EngineConfig::new(folder.path(), compiler) };
        let engine = Engine::new(config, Arc::new(store), Arc::new(SystemClock))
            .map_err(|cause| CliError::machine("cannot start an engine", &cause))?;
        let (digest, size) = (ComponentDigest::of(&component), component.len() as u64);
        match engine.admit(file, digest).await {
            Ok(admitted) => {
                admitted.warnings.iter().for_each(|warning| printer.warn(warning));
                Ok(Self { file, digest, size, admitted })
            }
            Err(refused) => Err(CliError::Refused(Box::new(problem(&refused)))),
        }
    }

    /// Checks that the component has what the manifest requires.
    pub(super) fn fits(&self, manifest: &Manifest) -> Result<(), CliError> {
        let ComponentInfo { exports, schemas, .. } = &self.admitted;
        let misfits = tidemill_control::misfits(manifest, exports, schemas.as_deref());
        if misfits.is_empty() {
            return Ok(());
        }
        Err(refused(format!("the manifest does not fit {}", self.file.display()), misfits))
    }

    /// Shows the component, as JSON or for people.
    fn shown(&self) -> (Value, String) {
        let Self { file, digest, size, admitted } = self;
        let exports: Vec<_> = admitted.exports.iter().map(|export| export.as_str()).collect();
        let record = json!({
            "digest": digest.to_string(), "size": size, "exports": exports,
            "imports": admitted.imports, "warnings": admitted.warnings,
        });
        let text = format!(
            "{}: good ({})\n  digest   {digest}\n  exports  {}\n  imports  {}",
            file.display(),
            bytes(*size),
            exports.join(", "),
            admitted.imports.join(", ")
        );
        (record, text)
    }
}

fn refused(detail: String, problems: Vec<wire::InputProblem>) -> CliError {
    let field = |wire::InputProblem { code, pointer, message, fix }| FieldProblem {
        pointer,
        code: code.to_string(),
        detail: message,
        fix: Some(fix),
    };
    CliError::Refused(Box::new(ProblemDetails {
        code: Code::BadManifest.to_string(),
        detail,
        errors: problems.into_iter().map(field).collect(),
        ..ProblemDetails::default()
    }))
}

fn problem(refused: &tidemill_engine::ComponentRejection) -> ProblemDetails {
    let fields = refused.problems.iter().map(|problem| FieldProblem {
        pointer: String::new(),
        code: problem.code.to_string(),
        detail: problem.message.clone(),
        fix: Some(problem.fix.clone()),
    });
    let errors: Vec<_> = fields.collect();
    let first = errors.first().map(|field| field.code.clone()).unwrap_or_default();
    ProblemDetails {
        code: first,
        detail: format!("this component has {} problems and cannot run", errors.len()),
        errors,
        ..ProblemDetails::default()
    }
}
