//! The binary: the host and every client command. This file starts the right one and maps its
//! result to an exit code.
//!
//! Each command is in `<noun>/<verb>.rs`, output in `printer.rs`, and errors in `error.rs`.

#![forbid(unsafe_code)]

mod alert;
mod budget;
mod cli;
mod client;
mod confirm;
mod delivery;
mod deployment;
mod error;
mod explain;
mod fixes;
mod globals;
mod health;
mod incident;
mod module;
mod money;
mod operation;
mod printer;
mod profile;
mod project;
mod query;
mod run;
mod schedule;
mod secret;
mod server;
mod shell;
mod silence;
mod state;
mod subscription;
mod terminal;
mod text;
mod topic;
mod when;

use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory as _, FromArgMatches as _};

use tidemill_control::ZoneReport;
use tidemill_core::clock::{Clock as _, SystemClock};

use crate::cli::{Cli, Command};
use crate::client::{Client, DEFAULT_URL};
use crate::error::CliError;
use crate::globals::GlobalArgs;
use crate::printer::Printer;

/// Runs and commits allocate on many threads and free on others. With the system's allocator, the
/// rate of runs is an eighth lower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Must come first: the compiler limits its own process, which must not have threads by then.
    let mut given = std::env::args_os().skip(1);
    if given.next().is_some_and(|command| command == "compile-component") {
        return tidemill_engine::compile_component_main(&given.collect::<Vec<_>>());
    }
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let log_json = server::logging::wants_json(&words, &|name| std::env::var(name).ok());
    let zones = install_zones();
    let given = Cli::command().version(version()).try_get_matches();
    let cli = match given.and_then(|given| Cli::from_arg_matches(&given)) {
        Ok(cli) => cli,
        Err(error) if log_json && error.use_stderr() => {
            let message = error.to_string();
            Printer::json_line("ERROR", serde_json::json!({ "message": message.trim() }));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    let printer = Printer::new(cli.shared.json, cli.shared.quiet);
    if log_json {
        printer.log_as_json();
        server::logging::log_panics();
    }
    // Ignore the error: a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match zones.and_then(|()| start(cli, &printer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Makes zone data available to parsers of manifests. A host's own setting comes later and
/// overrides it.
fn install_zones() -> Result<(), CliError> {
    let dir = std::env::var_os("TIDEMILL_ZONEINFO").filter(|dir| !dir.is_empty());
    tidemill_control::install_zones(dir.as_deref().map(Path::new)).map_err(|why| {
        CliError::usage(format!("TIDEMILL_ZONEINFO: {why}"), "name a folder such as /usr/share/zoneinfo")
    })
}

/// Returns the text of `--version`: the release of the program, and of the zone data that it finds.
fn version() -> &'static str {
    const PLAIN: &str = env!("CARGO_PKG_VERSION");
    static WITH_ZONES: LazyLock<String> = LazyLock::new(|| {
        let ZoneReport { release, place, .. } = ZoneReport::of(SystemClock.now());
        format!("{PLAIN}\nzone data {release} ({place})")
    });
    // Read the zone data only if the version is requested.
    let asked = std::env::args_os().skip(1).any(|arg| arg == "--version" || arg == "-V");
    if asked { &WITH_ZONES } else { PLAIN }
}

fn start(cli: Cli, printer: &Printer) -> Result<(), CliError> {
    let mut builder = if cli.command.runs_host() {
        // Must come before threads, which inherit it: guests must not delay the host.
        tidemill_engine::ask_for_short_slices();
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build().map_err(|cause| CliError::machine("cannot start threads", &cause))?;
    let client = if cli.command.is_local() { Client::new(DEFAULT_URL, None)? } else { Client::from_args(&cli.shared)? };
    let result = runtime.block_on(Box::pin(dispatch(cli.command, &cli.shared, &client, printer)));
    // A host has ended by now; a task that still blocks (such as a name lookup) must not hold the
    // process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn dispatch(command: Command, shared: &GlobalArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => server::serve::run(args, shared, printer).await,
        Command::Dev(args) => server::dev::run(args, shared, printer).await,
        #[cfg(feature = "demo")]
        Command::Demo(args) => server::demo::run(args, shared, printer).await,
        Command::New(args) => project::new::run(&args, printer),
        Command::Build(args) => project::build::run(&args, printer),
        Command::Test(args) => project::test::run(&args, printer),
        Command::Check(args) => project::check::run(&args, printer).await,
        Command::Deploy(args) => project::deploy::run(&args, client, printer).await,
        Command::Run(args) => run::start::run(args, client, printer).await,
        Command::Logs(args) => run::logs::run(&args, client, printer).await,
        Command::Publish(args) => topic::publish::run(&args, client, printer).await,
        Command::Runs(command) => run::run(command, client, printer).await,
        Command::RunInfo(args) => run::show::run(&args, client, printer).await,
        Command::Deployments(command) => deployment::run(command, client, printer).await,
        Command::Modules(command) => module::run(command, client, printer).await,
        Command::Schedules(command) => schedule::run(command, client, printer).await,
        Command::Secrets(command) => secret::run(command, client, printer).await,
        Command::Topics(command) => topic::run(command, client, printer).await,
        Command::Subscriptions(command) => subscription::run(command, client, printer).await,
        Command::Deliveries(command) => delivery::run(command, client, printer).await,
        Command::State(command) => state::run(command, client, printer).await,
        Command::Streams(command) => money::streams::run(command, client, printer).await,
        Command::Ledger(command) => money::ledger::run(command, client, printer).await,
        Command::Health(args) => health::run(args, client, printer).await,
        Command::Incidents(args) => incident::run(args, client, printer).await,
        Command::Alerts(command) => alert::run(command, client, printer).await,
        Command::Silences(command) => silence::run(command, client, printer).await,
        Command::Budgets(command) => budget::run(command, client, printer).await,
        Command::Rates(command) => money::rates::run(command, client, printer).await,
        Command::Operations(command) => operation::run(command, client, printer).await,
        Command::Explain(args) => explain::run(&args, printer),
        Command::Doctor(args) => server::doctor::run(&args, shared.token_file.as_deref(), client, printer).await,
        Command::Completions(args) => {
            shell::run(&args, printer);
            Ok(())
        }
    }
}
