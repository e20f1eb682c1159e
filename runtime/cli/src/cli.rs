//! The command line: the commands and the flags that all of them share. Each command's own flags
//! are in its file.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    deployment, explain, module, money, operation, project, run, schedule, server, shell, state, subscription, topic,
};

/// Run workflows and revenue streams that are WebAssembly components, in a sandbox with a budget.
#[derive(Debug, Parser)]
#[command(
    name = "tidemill",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 the host cannot be reached.\n\
                  `tidemill explain CODE` shows the page of an error code."
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,

    /// The shared flags.
    #[command(flatten)]
    pub shared: GlobalArgs,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For every command")]
pub struct GlobalArgs {
    /// URL of the host [env: TIDEMILL_URL] [default: http://127.0.0.1:7077]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,

    /// File with the host's token [env: TIDEMILL_TOKEN_FILE; TIDEMILL_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Profile of the host in ~/.config/tidemill/profiles.toml [env: TIDEMILL_PROFILE] [default:
    /// default]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the host
    Serve(server::serve::Args),
    /// Run a host on loopback without a token; build and deploy a project whenever it changes
    Dev(server::dev::Args),
    /// Run a host with example modules on real input, and show what it does
    Demo(server::demo::Args),
    /// Create a project that builds at once
    New(project::new::Args),
    /// Build a project's component
    Build(project::build::Args),
    /// Run a project's tests without a host
    Test(project::test::Args),
    /// Validate a component offline and list every problem
    Check(project::check::Args),
    /// Upload a project's component and deploy its manifest
    Deploy(project::deploy::Args),
    /// Start a run
    Run(run::start::Args),
    /// List runs, newest first
    Runs(run::list::Args),
    /// Show the runs that wait for an operator: parked runs, counted by cause
    Parked(run::parked::Args),
    /// Show one run
    RunInfo(run::info::Args),
    /// Show a run's log
    Logs(run::logs::Args),
    /// Show a run's journal
    Journal(run::journal::Args),
    /// Send a signal to a run
    Signal(run::signal::Args),
    /// Cancel runs
    Cancel(run::cancel::Args),
    /// Retry failed or parked runs
    Retry(run::retry::Args),
    /// List and control schedules
    Schedules(schedule::Args),
    /// List topics and their events
    Topics(topic::Args),
    /// Publish an event
    Publish(topic::publish::Args),
    /// List and control subscriptions
    Subscriptions(subscription::Args),
    /// Replay events to a subscription
    Replay(subscription::replay::Args),
    /// List and control deployments
    Deployments(deployment::Args),
    /// Show and edit the state of a deployment
    State(state::Args),
    /// List, show and cancel actions on many items
    Operations(operation::Args),
    /// List modules and their versions
    Modules(module::Args),
    /// List revenue streams with their revenue
    Streams(money::streams::Args),
    /// Show the ledger, sum revenue and check all totals
    Ledger(money::ledger::Args),
    /// Explain why a run is in its state, or show the page of an error code
    Explain(explain::Args),
    /// Check this machine, its configuration and its host
    Doctor(server::doctor::Args),
    /// Print a shell's completion script
    Completions(shell::Args),
}

impl Command {
    /// Returns whether the command never calls an existing host, so that URL and token have no
    /// effect.
    pub const fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Dev(_)
                | Self::Demo(_)
                | Self::New(_)
                | Self::Build(_)
                | Self::Test(_)
                | Self::Check(_)
                | Self::Completions(_)
        )
    }
}
