//! What can be typed: the commands and what holds for all of them. A command's own flags are beside the command.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    deployment, explain, module, money, operation, project, run, schedule, server, shell, state, subscription, topic,
};

/// Runs workflows and revenue streams that are WebAssembly components, in a sandbox with a budget.
#[derive(Debug, Parser)]
#[command(
    name = "tidemill",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 the host cannot be reached.\n\
                  `tidemill explain CODE` shows the page of an error code."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// What holds for every command.
    #[command(flatten)]
    pub shared: GlobalArgs,
}

/// Flags that every command has.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For every command")]
pub struct GlobalArgs {
    /// The host to talk to [env: TIDEMILL_URL] [default: http://127.0.0.1:7077]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,

    /// A file with the host's token [env: TIDEMILL_TOKEN_FILE; TIDEMILL_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The host of this name in ~/.config/tidemill/profiles.toml [env: TIDEMILL_PROFILE] [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// Write results as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Say nothing but results and errors
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
    /// Run a host with modules at work on real input, and show what it does
    Demo(server::demo::Args),
    /// Make a project that builds at once
    New(project::new::Args),
    /// Build a project's component
    Build(project::build::Args),
    /// Run a project's tests, without a host
    Test(project::test::Args),
    /// Say everything that is wrong with a component, without a host
    Check(project::check::Args),
    /// Upload a project's component and deploy it by its manifest
    Deploy(project::deploy::Args),
    /// Ask for a run
    Run(run::start::Args),
    /// List runs, newest first
    Runs(run::list::Args),
    /// Show what waits for a person: parked runs, counted by cause
    Parked(run::parked::Args),
    /// Show one run
    RunInfo(run::info::Args),
    /// Show a run's log
    Logs(run::logs::Args),
    /// Show what a run recorded
    Journal(run::journal::Args),
    /// Tell a run something
    Signal(run::signal::Args),
    /// Cancel runs
    Cancel(run::cancel::Args),
    /// Try failed or parked runs again
    Retry(run::retry::Args),
    /// List and steer schedules
    Schedules(schedule::Args),
    /// List topics and their events
    Topics(topic::Args),
    /// Publish an event
    Publish(topic::publish::Args),
    /// List and steer subscriptions
    Subscriptions(subscription::Args),
    /// Give a subscription events again
    Replay(subscription::replay::Args),
    /// List and steer deployments
    Deployments(deployment::Args),
    /// Show and mend the state of a deployment
    State(state::Args),
    /// List actions on many things, show one, or cancel one that runs
    Operations(operation::Args),
    /// List modules and their versions
    Modules(module::Args),
    /// List revenue streams with what they earned
    Streams(money::streams::Args),
    /// Look into the ledger
    Ledger(money::ledger::Args),
    /// Say why a run is where it is, or show the page of an error code
    Explain(explain::Args),
    /// Look for what may be wrong with this machine, its configuration and its host
    Doctor(server::doctor::Args),
    /// Write a shell's completions
    Completions(shell::Args),
}

impl Command {
    /// Whether it never speaks to a host that runs already, so that neither its url nor its token matters.
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
