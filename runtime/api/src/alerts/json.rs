//! The wire form of alerts, notifications and channels.

use tidemill_api_types as shapes;
use tidemill_control::{AlertView, ChannelStatus, ChannelTest, PendingAlert};
use tidemill_core::alerts::{Acknowledgement, Alert, AlertKey, AlertState, Notification, NotificationState};

/// Returns the subject of a key, if it has one.
fn subject(key: &AlertKey) -> Option<std::borrow::Cow<'_, str>> {
    (!key.subject.is_empty()).then(|| key.subject.as_str().into())
}

pub fn alert(view: &AlertView) -> shapes::Alert<'_> {
    let AlertView { alert, silenced } = view;
    let Alert { id, key, severity, labels, summary, began_at, fired_at, state, announced_at, escalations, .. } = alert;
    let resolved = match state {
        AlertState::Resolved { at, .. } => Some((*at).into()),
        AlertState::Firing | AlertState::Acknowledged(_) => None,
    };
    shapes::Alert {
        id: Some(id.to_string().into()),
        state: state.as_str().into(),
        severity: severity.as_str().into(),
        rule: key.rule.as_str().into(),
        deployment: key.deployment.as_ref().map(|name| name.as_str().into()),
        subject: subject(key),
        summary: summary.into(),
        labels: labels.into(),
        began: (*began_at).into(),
        fired: (*fired_at).into(),
        announced: announced_at.map(Into::into),
        silenced: *silenced,
        escalations: *escalations,
        channels: alert.channels.iter().map(|name| name.as_str().into()).collect(),
        acknowledgement: state.acknowledgement().map(acknowledgement),
        resolved,
    }
}

fn acknowledgement(seen: &Acknowledgement) -> shapes::Acknowledgement<'_> {
    let Acknowledgement { at, actor, note } = seen;
    shapes::Acknowledgement { at: (*at).into(), actor: actor.into(), note: note.into() }
}

pub fn pending(pending: &PendingAlert) -> shapes::Alert<'_> {
    let PendingAlert { key, severity, summary, since, fires_at } = pending;
    shapes::Alert {
        id: None,
        state: "pending".into(),
        severity: severity.as_str().into(),
        rule: key.rule.as_str().into(),
        deployment: key.deployment.as_ref().map(|name| name.as_str().into()),
        subject: subject(key),
        summary: summary.into(),
        labels: (&[][..]).into(),
        began: (*since).into(),
        fired: (*fires_at).into(),
        announced: None,
        silenced: false,
        escalations: 0,
        channels: Vec::new(),
        acknowledgement: None,
        resolved: None,
    }
}

pub fn notification(notification: &Notification) -> shapes::Notification<'_> {
    let Notification { id, channel, kind, state, created_at, tries, error, .. } = notification;
    let ended = match state {
        NotificationState::Waiting => None,
        NotificationState::Sent { at } | NotificationState::Dead { at } => Some((*at).into()),
    };
    shapes::Notification {
        id: id.to_string().into(),
        channel: channel.as_str().into(),
        kind: kind.as_str().into(),
        state: state.as_str().into(),
        created: (*created_at).into(),
        ended,
        tries: *tries,
        error: words(error),
    }
}

pub fn channel(status: &ChannelStatus) -> shapes::AlertChannel<'_> {
    let ChannelStatus { name, kind, target, waiting, failures, error, next, sent_at } = status;
    shapes::AlertChannel {
        name: name.as_str().into(),
        kind: kind.map(Into::into),
        target: words(target),
        waiting: *waiting,
        failures: *failures,
        error: words(error),
        next: next.map(Into::into),
        sent: sent_at.map(Into::into),
    }
}

pub fn test(test: &ChannelTest) -> shapes::AlertChannelTest<'_> {
    let ChannelTest { channel, id, error } = test;
    shapes::AlertChannelTest {
        channel: channel.as_str().into(),
        id: id.to_string().into(),
        sent: error.is_none(),
        error: error.as_deref().map(Into::into),
    }
}

/// Returns a text, unless it is empty.
fn words(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    (!text.is_empty()).then(|| text.into())
}
