//! `tidemill rates`: lists and sets exchange rates for reports in one currency.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use tidemill_api_types::{ExchangeRate, List};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// The commands about exchange rates.
#[derive(Debug, Subcommand)]
pub enum RateCommand {
    /// List rates, the latest day of each currency first
    List(RateListArgs),
    /// Set the rate of a day
    Set(RateSetArgs),
}

/// Arguments of `tidemill rates list`.
#[derive(Debug, clap::Args)]
pub struct RateListArgs {
    /// List only rates into this currency
    #[arg(long, value_name = "CODE")]
    to: Option<String>,

    /// Maximum number of rates
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Arguments of `tidemill rates set`.
#[derive(Debug, clap::Args)]
pub struct RateSetArgs {
    /// The day, such as 2026-10-05
    day: String,

    /// The currency that is converted, such as USD
    from: String,

    /// The currency into which it is converted, such as EUR
    to: String,

    /// How much of the second one unit of the first is, such as 0.9234
    rate: String,

    /// Who published the rate
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
}

impl Row for ExchangeRate<'_> {
    const HEADS: &'static [&'static str] = &["DAY", "FROM", "TO", "RATE", "SOURCE"];

    fn cells(&self) -> Vec<String> {
        [&self.day, &self.from, &self.to, &self.rate, &self.source].map(ToString::to_string).to_vec()
    }
}

/// Runs the command.
pub async fn run(command: RateCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        RateCommand::List(args) => {
            let path = Query::default().with_each("to", &args.to).of_path("/v1/rates");
            let all: Vec<Record<ExchangeRate<'static>>> = client.list(&path, args.limit as usize).await?;
            printer.rows(&all, "no rates: set one with `tidemill rates set DAY FROM TO RATE`");
            Ok(())
        }
        RateCommand::Set(args) => {
            let RateSetArgs { day, from, to, rate, source } = &args;
            let body = json!({ "rates": [{ "day": day, "from": from, "to": to, "rate": rate, "source": source }] });
            let body = body.to_string().into_bytes();
            let set: Record<List<ExchangeRate<'static>>> = client.ask(Method::PUT, "/v1/rates", body, &[]).await?;
            printer.record(&set, &format!("set {from} to {to} on {day} to {rate}"));
            Ok(())
        }
    }
}
