//! The command line: its commands. Each command's own flags are in its file, and the flags that all
//! of them share in `globals.rs`.

use clap::{Parser, Subcommand};

use crate::globals::GlobalArgs;
use crate::{
    alert, budget, delivery, deployment, explain, health, incident, module, money, operation, project, run, schedule,
    secret, server, shell, silence, state, subscription, topic,
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

/// The commands: of the host, of a project, the short forms, and of each noun.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the host
    Serve(server::serve::ServeArgs),
    /// Run a host on loopback without a token; build and deploy a project whenever it changes
    Dev(server::dev::DevArgs),
    /// Run a host with example modules on real input, and show what it does
    #[cfg(feature = "demo")]
    Demo(server::demo::DemoArgs),
    /// Create a project that builds at once
    New(project::new::NewArgs),
    /// Build a project's component
    Build(project::build::BuildArgs),
    /// Run a project's tests without a host
    Test(project::test::TestArgs),
    /// Validate a component offline and list every problem
    Check(project::check::CheckArgs),
    /// Upload a project's component and deploy its manifest
    Deploy(project::deploy::DeployArgs),
    /// Start a run
    Run(run::start::RunStartArgs),
    /// Show a run's log
    Logs(run::logs::RunLogsArgs),
    /// Publish an event
    Publish(topic::publish::TopicPublishArgs),
    /// List, explain and control runs
    #[command(subcommand)]
    Runs(run::RunCommand),
    /// List and control deployments
    #[command(subcommand)]
    Deployments(deployment::DeploymentCommand),
    /// Show the health of deployments
    Health(health::HealthArgs),
    /// List incidents, and act on them
    Incidents(incident::IncidentArgs),
    /// List and acknowledge alerts, and test the channels that they are sent to
    #[command(subcommand)]
    Alerts(alert::AlertCommand),
    /// List, create and delete silences of alerts
    #[command(subcommand)]
    Silences(silence::SilenceCommand),
    /// List modules
    #[command(subcommand)]
    Modules(module::ModuleCommand),
    /// List and control schedules
    #[command(subcommand)]
    Schedules(schedule::ScheduleCommand),
    /// List topics and their events, publish events, and delete topics
    #[command(subcommand)]
    Topics(topic::TopicCommand),
    /// List and control subscriptions, and replay events to them
    #[command(subcommand)]
    Subscriptions(subscription::SubscriptionCommand),
    /// Set, list and delete secrets, and make a master key
    #[command(subcommand)]
    Secrets(secret::SecretCommand),
    /// List, show and replay deliveries to hooks
    #[command(subcommand)]
    Deliveries(delivery::DeliveryCommand),
    /// Show and edit the state of a deployment
    #[command(subcommand)]
    State(state::StateCommand),
    /// List revenue streams
    #[command(subcommand)]
    Streams(money::streams::StreamCommand),
    /// Show the ledger, report about it, export it, and check all totals
    #[command(subcommand)]
    Ledger(money::ledger::LedgerCommand),
    /// List budgets with what was used, and set customers' limits
    #[command(subcommand)]
    Budgets(budget::BudgetCommand),
    /// List and set exchange rates for reports in one currency
    #[command(subcommand)]
    Rates(money::rates::RateCommand),
    /// List, show and cancel actions on many items
    #[command(subcommand)]
    Operations(operation::OperationCommand),
    /// Show the page of an error code
    Explain(explain::ExplainArgs),
    /// Check this machine, its configuration and its host
    Doctor(server::doctor::DoctorArgs),
    /// Print a shell's completion script
    Completions(shell::CompletionsArgs),
    /// Show a run
    #[command(hide = true)]
    RunInfo(run::show::RunShowArgs),
}

impl Command {
    /// Returns whether the command runs a host in this process.
    pub const fn runs_host(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Dev(_) => true,
            #[cfg(feature = "demo")]
            Self::Demo(_) => true,
            _ => false,
        }
    }

    /// Returns whether the command never calls an existing host, so that URL and token have no
    /// effect.
    pub const fn is_local(&self) -> bool {
        self.runs_host()
            || matches!(self, Self::Secrets(command) if command.is_local())
            || matches!(
                self,
                Self::New(_)
                    | Self::Build(_)
                    | Self::Test(_)
                    | Self::Check(_)
                    | Self::Explain(_)
                    | Self::Completions(_)
            )
    }
}
