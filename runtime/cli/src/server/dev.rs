//! `tidemill dev`: runs a host on loopback without a token for the author of a module. It builds
//! and deploys the project after every change, and shows runs and their logs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tidemill_api_types::LogLine;
use tidemill_core::ComponentDigest;
use tidemill_core::manifest::{ModuleRef, Source};

use super::events;
use super::process::Process;
use super::settings::{SettingFlags, Settings};
use super::signals::Signals;
use super::{logging, serve};
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::globals::GlobalArgs;
use crate::printer::Printer;
use crate::project::{self, MANIFEST, Project};
use crate::schedule::upcoming::FEW_FIRINGS;
use crate::text::log_line;

/// Interval between two scans of the project's files.
const LOOK: Duration = Duration::from_millis(500);
/// The lock file. The build writes it, and so does an author who updates a dependency.
const LOCK_FILE: &str = "Cargo.lock";
/// Maximum number of files in a scan.
const FILES: usize = 10_000;

/// Arguments of `tidemill dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Modules may reach loopback and private addresses if their grants allow it. \
    Without a tidemill.toml in DIR, only the host runs.\n\
    Serves JSON files of DIR/upstream at http://127.0.0.1:7078: GET /sales returns upstream/sales.json.")]
pub struct DevArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,

    #[command(flatten)]
    flags: SettingFlags,
}

/// Runs the command.
pub async fn run(args: DevArgs, shared: &GlobalArgs, printer: &Printer) -> Result<(), CliError> {
    if !args.dir.is_dir() {
        return Err(CliError::usage(
            format!("there is no folder {}", args.dir.display()),
            "name a project's folder, or make one with `tidemill new workflow NAME`",
        ));
    }
    let settings = settings(&args.flags, shared)?;
    logging::start(&settings.log, settings.log_json, printer)?;
    let mut signals = Signals::new()?;
    let process = Process::start(&settings).await?;
    let client = process.client()?;
    printer.note(&format!("tidemill is up at {} (data in {}); Ctrl-C ends it", process.url(), settings.data.display()));
    super::upstream::serve(&args.dir, printer).await;
    let watching = async {
        if args.dir.join(MANIFEST).exists() {
            watch(&args.dir, &client, printer).await
        } else {
            printer.note(&format!("no {MANIFEST} in {}: only the host runs", args.dir.display()));
            std::future::pending().await
        }
    };
    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        ended = watching => ended,
        ended = show(&client, printer) => ended,
    };
    printer.note("shutting down; Ctrl-C again ends the host at once");
    serve::end(process, &mut signals).await;
    ended
}

/// Returns the settings of a host for the author's own machine: no token, a quiet log.
fn settings(flags: &SettingFlags, shared: &GlobalArgs) -> Result<Settings, CliError> {
    let environment = |name: &str| match name {
        "TIDEMILL_TOKEN" | "TIDEMILL_TOKEN_FILE" => None,
        "TIDEMILL_LOG" => Some(std::env::var(name).unwrap_or_else(|_| "warn".to_owned())),
        "TIDEMILL_EGRESS_PRIVATE" => Some(std::env::var(name).unwrap_or_else(|_| "all".to_owned())),
        _ => std::env::var(name).ok(),
    };
    let mut settings = Settings::read(flags, shared.token_file.as_deref(), &environment)?;
    if !settings.addr.ip().is_loopback() {
        return Err(CliError::usage(
            format!("{} is not loopback, and `dev` has no token", settings.addr),
            "listen on 127.0.0.1, or use `tidemill serve`",
        ));
    }
    settings.token = None;
    Ok(settings)
}

/// Builds and deploys the project, and repeats that after each change.
async fn watch(folder: &Path, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut seen = None;
    loop {
        let now = SourceSnapshot::at(folder);
        if seen != Some(now) {
            if let Err(error) = refresh(folder, client, printer).await {
                // The author corrects it and saves again; the command continues for that.
                printer.error(&error);
            }
            // A lock file that the build itself wrote is not a change.
            seen = Some(SourceSnapshot { locked: lock_written(folder), ..now });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn refresh(folder: &Path, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut project = Project::read(folder)?;
    let building = (folder.to_owned(), printer.clone());
    tokio::task::spawn_blocking(move || {
        let (folder, printer) = building;
        project::build::build(&Project::read(&folder)?, &printer)
    })
    .await
    .map_err(|cause| CliError::machine("the build was interrupted", &cause))??;
    let component = project.component_bytes()?;
    if let Some(component) = &component {
        mark_version(&mut project, component)?;
    }
    let done = project::deploy::deploy(&project, component, client, printer).await;
    let done = done.map_err(|error| project.with_lines(error))?;
    printer.note(&done.text(FEW_FIRINGS));
    Ok(())
}

/// Makes the version unique: a version names its bytes permanently, but they change with each save,
/// so the digest becomes part of it.
///
/// # Errors
/// If the manifest's version leaves no room for the digest.
pub fn mark_version(project: &mut Project, component: &[u8]) -> Result<(), CliError> {
    let Source::Module(reference) = &project.file.manifest.source else { return Ok(()) };
    let digest = ComponentDigest::of(component).hex();
    let version = reference.version.as_str();
    let join = if version.contains('-') { '.' } else { '-' };
    let plain = version.split('+').next().unwrap_or(version);
    let version = format!("{plain}{join}b{}", digest.get(..12).unwrap_or(&digest));
    let version = version.parse().map_err(|bad: tidemill_core::ids::InvalidName| {
        CliError::usage(format!("the version {version}: {bad}"), "shorten `version` under [module]")
    })?;
    project.file.manifest.source = Source::Module(ModuleRef { name: reference.name.clone(), version });
    Ok(())
}

/// The result of a scan of the project's files. Build output and hidden files are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SourceSnapshot {
    /// When a file changed last, except the lock file.
    latest: SystemTime,
    count: usize,
    /// When the lock file was written; `None` before the first build.
    locked: Option<SystemTime>,
}

impl SourceSnapshot {
    fn at(folder: &Path) -> Self {
        let (mut latest, mut count) = (SystemTime::UNIX_EPOCH, 0);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(about) = entry.metadata() else { continue };
                let built = name == "target" || name == "tidemill-data" || name == LOCK_FILE;
                if name.starts_with('.') || built || count >= FILES {
                    continue;
                }
                if about.is_dir() {
                    folders.push(entry.path());
                } else {
                    count += 1;
                    latest = latest.max(about.modified().unwrap_or(SystemTime::UNIX_EPOCH));
                }
            }
        }
        Self { latest, count, locked: lock_written(folder) }
    }
}

fn lock_written(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join(LOCK_FILE)).and_then(|about| about.modified()).ok()
}

/// Shows every run that ends, with its log.
async fn show(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut happening = events::listen(client);
    while let Some(event) = happening.recv().await {
        if event.is_end_of_run() {
            let path = format!("/v1/runs/{}/logs", encoded(event.text("run")));
            for line in client.list::<Record<LogLine<'static>>>(&path, 200).await? {
                printer.item(&line, &format!("  {}", log_line(&line)));
            }
        }
        if let Some(line) = event.line() {
            printer.item(&event.data, &line);
        }
    }
    Err(CliError::failed("the host's event feed ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_files_are_detected_except_build_output() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        write("src/lib.rs");
        let before = SourceSnapshot::at(folder.path());
        write("target/debug/x.wasm");
        write(".git/index");
        assert_eq!(SourceSnapshot::at(folder.path()), before);
        write("src/more.rs");
        assert_ne!(SourceSnapshot::at(folder.path()), before);
        let before = SourceSnapshot::at(folder.path());
        write("Cargo.lock");
        let after = SourceSnapshot::at(folder.path());
        assert_ne!(after, before);
        // The same as after a build, which writes the file too.
        assert_eq!(after, SourceSnapshot { locked: lock_written(folder.path()), ..before });
    }
}
