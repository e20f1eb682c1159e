//! `tidemill deployments list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Deployment {
    name: String,
    revision: u64,
    component: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Value>,
    updated_at: String,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Deployment {
    const HEADS: &'static [&'static str] = &["DEPLOYMENT", "REVISION", "COMPONENT", "STATE", "SINCE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.revision.to_string(),
            crate::wire::short_digest(&self.component),
            paused(self.paused.as_ref()).unwrap_or_else(|| "active".to_owned()),
            self.updated_at.clone(),
        ]
    }
}

/// Formats a pause, with its note if there is one.
pub fn paused(pause: Option<&Value>) -> Option<String> {
    let note = pause.filter(|pause| pause.is_object())?.get("note").and_then(Value::as_str).unwrap_or_default();
    Some(if note.is_empty() { "paused".to_owned() } else { format!("paused: {}", clean(note)) })
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Deployment> = client.all("/v1/deployments").await?;
    printer.rows(&all, "no deployments: make one with `tidemill deploy DIR`");
    Ok(())
}
