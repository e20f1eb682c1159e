//! `tidemill alerts show`: shows an alert with the notifications about it.

use std::fmt::Write as _;

use tidemill_api_types::{Alert, AlertDetail, Notification};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill alerts show`.
#[derive(Debug, clap::Args)]
pub struct AlertShowArgs {
    /// The alert
    id: String,
}

/// Runs the command.
pub async fn run(args: &AlertShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let detail: Record<AlertDetail<'static>> = client.get(&super::path(&args.id)).await?;
    let mut text = text(&detail.alert);
    for notification in &detail.notifications {
        text += &line(notification);
    }
    printer.record(&detail, text.trim_end());
    Ok(())
}

/// Returns what an alert is about.
pub(super) fn about(alert: &Alert<'_>) -> String {
    let about = clean(alert.deployment.as_deref().unwrap_or("the host"));
    match &alert.subject {
        Some(subject) => format!("{about} ({})", clean(subject)),
        None => about,
    }
}

/// Describes an alert, one fact a line.
pub(super) fn text(alert: &Alert<'_>) -> String {
    let silenced = if alert.silenced { ", silenced" } else { "" };
    let mut text = format!(
        "{} {} {}: {} on {}{silenced}\n  {}\n",
        clean(alert.id.as_deref().unwrap_or_default()),
        clean(&alert.severity),
        clean(&alert.state),
        clean(&alert.rule),
        about(alert),
        clean(&alert.summary)
    );
    let _ = writeln!(text, "  began {}, fired {}", alert.began, alert.fired);
    match &alert.announced {
        Some(at) => {
            let channels: Vec<_> = alert.channels.iter().map(|name| clean(name)).collect();
            let _ = writeln!(text, "  announced {at} to {}", channels.join(", "));
        }
        None => text += "  not announced\n",
    }
    if let Some(seen) = &alert.acknowledgement {
        let note = if seen.note.is_empty() { String::new() } else { format!(": {}", clean(&seen.note)) };
        let _ = writeln!(text, "  acknowledged {} by {}{note}", seen.at, clean(&seen.actor));
    }
    if let Some(at) = &alert.resolved {
        let _ = writeln!(text, "  over {at}");
    }
    for (name, value) in &*alert.labels {
        let _ = writeln!(text, "  {} = {}", clean(name), clean(value));
    }
    text
}

fn line(notification: &Notification<'_>) -> String {
    let Notification { channel, kind, state, created, ended, tries, error, .. } = notification;
    let mut text = format!("  {created} {:9} to {}: {}", clean(kind), clean(channel), clean(state));
    if let Some(ended) = ended {
        let _ = write!(text, " {ended}");
    }
    if *tries > 1 {
        let _ = write!(text, " after {tries} tries");
    }
    if let Some(error) = error {
        let _ = write!(text, ": {}", clean(error));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use tidemill_api_types::Acknowledgement;
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn an_alert_is_shown_with_what_became_of_it() {
        let at = Timestamp::from_millis(1_767_571_200_000).into();
        let alert = Alert {
            id: Some("01kd".into()),
            state: "acknowledged".into(),
            severity: "page".into(),
            rule: "unhealthy".into(),
            deployment: Some("shop".into()),
            subject: None,
            summary: "no\u{1b} answer".into(),
            labels: vec![("team".to_owned(), "shop".to_owned())].into(),
            began: at,
            fired: at,
            announced: Some(at),
            silenced: true,
            escalations: 1,
            channels: vec!["team".into(), "pager".into()],
            acknowledgement: Some(Acknowledgement { at, actor: "ann".into(), note: "on it".into() }),
            resolved: None,
        };
        let text = text(&alert);
        assert!(text.starts_with("01kd page acknowledged: unhealthy on shop, silenced\n"), "{text}");
        assert!(text.contains("to team, pager\n") && text.contains("by ann: on it\n"), "{text}");
        assert!(text.ends_with("  team = shop\n") && !text.contains('\u{1b}'), "{text}");
    }
}
