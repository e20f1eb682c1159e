//! `tidemill state list`.

use tidemill_api_types::StateEntry;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;
use crate::text::bytes;

/// Arguments of `tidemill state list`.
#[derive(Debug, clap::Args)]
pub struct StateListArgs {
    /// The deployment
    deployment: String,

    /// List only keys that begin with this
    #[arg(long, short, default_value = "", hide_default_value = true)]
    prefix: String,

    /// Maximum number of keys
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl Row for StateEntry {
    const HEADS: &'static [&'static str] = &["KEY", "SIZE", "VERSION", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let preview = self.preview.clone().unwrap_or_else(|| "(not text)".to_owned());
        let cut = self.preview.as_ref().is_some_and(|preview| (preview.len() as u64) < self.bytes);
        let value = if cut { format!("{preview}…") } else { preview };
        vec![self.key.clone(), bytes(self.bytes), self.version.to_string(), value]
    }
}

/// Runs the command.
pub async fn run(args: &StateListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let prefix = Some(&args.prefix).filter(|prefix| !prefix.is_empty());
    let path = format!("/v1/deployments/{}/state", encoded(&args.deployment));
    let path = Query::default().with_each("prefix", prefix).of_path(&path);
    let entries: Vec<Record<StateEntry>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&entries, "no values: no key of the deployment begins with the prefix");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_longer_than_its_preview_is_marked() {
        let whole = StateEntry { key: "k".into(), bytes: 1, version: 7, preview: Some("1".into()) };
        assert_eq!(whole.cells(), ["k", "1 B", "7", "1"]);
        assert_eq!(StateEntry { bytes: 2, ..whole.clone() }.cells()[3], "1…");
        assert_eq!(StateEntry { preview: None, ..whole }.cells()[3], "(not text)");
    }
}
