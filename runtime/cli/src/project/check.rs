//! `tidemill check [PATH]`: everything that is wrong with a component or with a project's manifest, as a host would say
//! it, and when its schedules will fire, without a host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::{ComponentDigest, Manifest};
use tidemill_engine::{Admitted, CompilerCommand, Engine, EngineConfig};
use tidemill_store::LocalStore;

use super::Project;
use crate::error::{CliError, Field, Problem};
use crate::printer::Printer;
use crate::schedule::firings::{FIRINGS, Firings};
use crate::wire::bytes;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A component's file, or a project's folder with its manifest
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// Carries it out.
pub async fn run(args: &Args, printer: &Printer) -> Result<(), CliError> {
    if !args.path.is_dir() {
        let (record, text) = component(&args.path, printer).await?;
        printer.record(&record, &text);
        return Ok(());
    }
    let project = Project::read(&args.path)?;
    let schedules = Firings::of(&project.file.manifest, SystemClock.now());
    let mut record = json!({ "manifest": name(&project.file.manifest), "schedules": schedules });
    let mut text = format!("{}: good", args.path.join(super::MANIFEST).display());
    for schedule in &schedules {
        text = format!("{text}\n{}", schedule.text(FIRINGS));
    }
    match project.component() {
        Some(path) if path.exists() => {
            let (component, more) = component(&path, printer).await?;
            record["component"] = component;
            text = format!("{text}\n{more}");
        }
        Some(path) => printer.note(&format!("{} is not built yet: only the manifest is checked", path.display())),
        None => {}
    }
    printer.record(&record, &text);
    Ok(())
}

fn name(manifest: &Manifest) -> &str {
    manifest.name.as_ref().map_or("", |name| name.as_str())
}

/// Admits a component as a host does, with an engine of its own over an empty folder.
async fn component(file: &Path, printer: &Printer) -> Result<(Value, String), CliError> {
    let component = super::read_component(file)?;
    let folder = tempfile::tempdir().map_err(|cause| CliError::machine("cannot make a folder to work in", &cause))?;
    let compiler =
        CompilerCommand::this_program().map_err(|cause| CliError::machine("cannot find this program", &cause))?;
    let path = folder.path().join("store");
    let (store, _) = tokio::task::spawn_blocking(move || LocalStore::open(LocalStore::config(&path)))
        .await
        .map_err(|cause| CliError::machine("cannot open a store", &cause))?
        .map_err(|cause| CliError::machine("cannot open a store", &cause))?;
    let config = EngineConfig { concurrency: 1, guest_threads: 1, ..EngineConfig::new(folder.path(), compiler) };
    let engine = Engine::new(config, Arc::new(store), Arc::new(SystemClock))
        .map_err(|cause| CliError::machine("cannot start an engine", &cause))?;
    let digest = ComponentDigest::of(&component);
    match engine.admit(file, digest).await {
        Ok(admitted) => {
            admitted.warnings.iter().for_each(|warning| printer.warn(warning));
            Ok(shown(file, digest, component.len(), &admitted))
        }
        Err(refused) => Err(CliError::Refused(Box::new(problem(&refused)))),
    }
}

fn shown(file: &Path, digest: ComponentDigest, size: usize, admitted: &Admitted) -> (Value, String) {
    let exports: Vec<_> = admitted.exports.iter().map(|export| export.as_str()).collect();
    let record = json!({
        "digest": digest.to_string(), "size": size, "exports": exports,
        "imports": admitted.imports, "warnings": admitted.warnings,
    });
    let text = format!(
        "{}: good ({})\n  digest   {digest}\n  exports  {}\n  imports  {}",
        file.display(),
        bytes(size as u64),
        exports.join(", "),
        admitted.imports.join(", ")
    );
    (record, text)
}

fn problem(refused: &tidemill_engine::Refused) -> Problem {
    let fields = refused.problems.iter().map(|problem| Field {
        pointer: String::new(),
        code: problem.code.to_string(),
        detail: problem.message.clone(),
        fix: Some(problem.fix.clone()),
    });
    let errors: Vec<_> = fields.collect();
    let first = errors.first().map(|field| field.code.clone()).unwrap_or_default();
    Problem {
        code: first,
        detail: format!("{} problems keep this component from running", errors.len()),
        errors,
        ..Problem::default()
    }
}
