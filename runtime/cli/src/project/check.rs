//! `tidemill check FILE.wasm`: everything that is wrong with a component, as a host would say it, without a host.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tidemill_core::ComponentDigest;
use tidemill_core::clock::SystemClock;
use tidemill_engine::{CompilerCommand, Engine, EngineConfig};
use tidemill_store::LocalStore;

use crate::error::{CliError, Field, Problem};
use crate::printer::Printer;
use crate::wire::bytes;

/// Which component.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component's file
    file: PathBuf,
}

/// Carries it out, with an engine of its own over an empty folder.
pub async fn run(args: &Args, printer: &Printer) -> Result<(), CliError> {
    let component = super::read_component(&args.file)?;
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
    match engine.admit(&args.file, digest).await {
        Ok(admitted) => {
            admitted.warnings.iter().for_each(|warning| printer.warn(warning));
            let exports: Vec<_> = admitted.exports.iter().map(|export| export.as_str()).collect();
            let record = json!({
                "digest": digest.to_string(), "size": component.len(), "exports": exports,
                "imports": admitted.imports, "warnings": admitted.warnings,
            });
            let text = format!(
                "{}: good ({})\n  digest   {digest}\n  exports  {}\n  imports  {}",
                args.file.display(),
                bytes(component.len() as u64),
                exports.join(", "),
                admitted.imports.join(", ")
            );
            printer.record(&record, &text);
            Ok(())
        }
        Err(refused) => Err(CliError::Refused(Box::new(problem(&refused)))),
    }
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
