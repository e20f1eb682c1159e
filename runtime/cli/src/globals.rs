//! The flags that all commands share.

use std::path::PathBuf;

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
