//! `tidemill incidents show`: tells the story of an incident.

use std::fmt::Write as _;

use tidemill_api_types::{IncidentDetails, TimelineEntry};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::health::figure;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill incidents show`.
#[derive(Debug, clap::Args)]
pub struct IncidentShowArgs {
    /// The number of the incident
    number: u64,
}

/// Runs the command.
pub async fn run(args: &IncidentShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let details: Record<IncidentDetails<'static>> = client.get(&super::path(args.number)).await?;
    printer.record(&details, &text(&details));
    Ok(())
}

fn text(details: &IncidentDetails<'_>) -> String {
    let incident = &details.incident;
    let of = incident.deployment.as_ref().map_or("the host".to_owned(), |name| clean(name));
    let mut text = format!(
        "incident {} of {of} is {} ({}): {}\n",
        incident.number,
        clean(&incident.phase),
        clean(&incident.severity),
        clean(&incident.reason)
    );
    let _ = write!(text, "began {}, detected {}", incident.began_at, incident.detected_at);
    if let Some(ended_at) = &incident.ended_at {
        let _ = write!(text, ", ended {ended_at}");
    }
    if let Some(person) = &incident.acknowledged_by {
        let _ = write!(text, "; {} has taken it on", clean(person));
    }
    for entry in &details.timeline {
        text += &entry_text(entry);
    }
    text
}

fn entry_text(entry: &TimelineEntry<'_>) -> String {
    let name = entry.name.as_ref().map(|name| format!(" {}", clean(name))).unwrap_or_default();
    let mut text =
        format!("\n{} {}{name}: {}: {}", entry.at, clean(&entry.actor), clean(&entry.event), clean(&entry.text));
    if let Some(change) = &entry.change {
        let undone = if entry.undone { " (undone)" } else { "" };
        let _ = write!(text, "\n    {}{undone}", clean(change));
    }
    for item in &entry.evidence.figures {
        let limit = item.limit.map(|limit| format!(" (limit {})", figure(limit))).unwrap_or_default();
        let _ = write!(text, "\n    {} {}{limit}", clean(&item.name), figure(item.value));
    }
    for failed in &entry.evidence.runs {
        let _ = write!(text, "\n    run {} failed with {}", clean(&failed.run), clean(&failed.code));
    }
    for line in &entry.evidence.log {
        let _ = write!(text, "\n    > {}", clean(line));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_story_names_each_change_and_its_evidence() {
        let details = json!({
            "number": 3, "deployment": "shop", "severity": "critical", "phase": "resolved", "reason": "it fails",
            "cause": "module", "began_at": "2026-01-31T12:00:00Z", "detected_at": "2026-01-31T12:00:01Z",
            "ended_at": "2026-01-31T12:00:03Z", "returns": 0, "acknowledged_by": "ann", "repairs": [],
            "timeline": [{
                "at": "2026-01-31T12:00:02Z", "actor": "host", "event": "repaired", "text": "the deployment returns",
                "change": "revision 7 → 8, which is as 6", "undone": true,
                "evidence": {
                    "figures": [{ "name": "failure-rate", "value": 1.0, "limit": 0.5 }],
                    "runs": [{ "run": "01h", "code": "host/trap" }], "log": ["no\u{1b}[31m answer"],
                },
            }],
        });
        let shown = text(&serde_json::from_value(details).unwrap());
        for part in [
            "incident 3 of shop is resolved (critical): it fails",
            "ann has taken it on",
            "host: repaired: the deployment returns\n    revision 7 → 8, which is as 6 (undone)",
            "failure-rate 1 (limit 0.5)",
            "run 01h failed with host/trap",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    }
}
