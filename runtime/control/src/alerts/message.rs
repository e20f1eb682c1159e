//! The text and the JSON of a notification.

use serde_json::{Map, Value, json};
use tidemill_core::alerts::{AlertKey, Notification};

/// Why a message is sent, if it tests a channel.
const TEST: &str = "test";

/// A notification in the forms that channels send.
#[derive(Debug, Clone)]
pub(super) struct AlertMessage<'a> {
    notification: &'a Notification,
    kind: &'static str,
    node: &'a str,
}

impl<'a> AlertMessage<'a> {
    /// Returns the message of a notification of the host `node`.
    pub(super) fn new(notification: &'a Notification, node: &'a str) -> Self {
        Self { notification, kind: notification.kind.as_str(), node }
    }

    /// Returns the message of a test of a channel.
    pub(super) fn test(notification: &'a Notification, node: &'a str) -> Self {
        Self { notification, kind: TEST, node }
    }

    /// Returns the id that receivers see at each try.
    pub(super) fn id(&self) -> String {
        self.notification.id.to_string()
    }

    /// Returns the subject: severity, kind, rule, and what it is about.
    pub(super) fn subject(&self) -> String {
        let AlertKey { rule, deployment, subject } = &self.notification.key;
        let about = match (deployment, subject.as_str()) {
            (Some(deployment), "") => format!(" on {deployment}"),
            (Some(deployment), subject) => format!(" on {deployment} ({subject})"),
            (None, "") => format!(" on host {}", self.node),
            (None, subject) => format!(" on host {} ({subject})", self.node),
        };
        format!("[{}] {}: {rule}{about}", self.notification.severity.as_str(), self.kind)
    }

    /// Returns the text in lines.
    pub(super) fn text(&self) -> String {
        let notification = self.notification;
        let mut lines = vec![notification.summary.clone(), String::new()];
        lines.push(format!("fired at: {}", notification.fired_at));
        lines.extend(notification.labels.iter().map(|(name, value)| format!("{name}: {value}")));
        if self.kind != TEST {
            lines.push(format!("alert: {}", notification.alert));
            lines.push(format!("acknowledge: tidemill alerts ack {}", notification.alert));
        }
        lines.join("\n")
    }

    /// Returns the fields of the alert.
    pub(super) fn data(&self) -> Value {
        let Notification { id, alert, key, severity, labels, summary, fired_at, created_at, .. } = self.notification;
        let mut data = json!({
            "notification": id,
            "alert": alert,
            "kind": self.kind,
            "rule": key.rule,
            "severity": severity.as_str(),
            "summary": summary,
            "labels": labels.iter().cloned().map(|(name, value)| (name, value.into())).collect::<Map<_, Value>>(),
            "fired_at": fired_at.to_rfc3339(),
            "created_at": created_at.to_rfc3339(),
            "node": self.node,
        });
        if let Some(deployment) = &key.deployment {
            data["deployment"] = deployment.as_str().into();
        }
        if !key.subject.is_empty() {
            data["subject"] = key.subject.as_str().into();
        }
        data
    }

    /// Returns the body of a webhook, in the form that Standard Webhooks recommend.
    pub(super) fn webhook(&self) -> Value {
        json!({
            "type": format!("alert.{}", self.kind),
            "timestamp": self.notification.created_at.to_rfc3339(),
            "data": self.data(),
        })
    }

    /// Returns the body of an incoming webhook of Slack.
    pub(super) fn slack(&self) -> Value {
        json!({ "text": format!("*{}*\n{}", escaped(&self.subject()), escaped(&self.text())) })
    }
}

/// Escapes what Slack takes for a link or a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
pub(super) mod tests {
    use tidemill_core::alerts::{AlertSeverity, NoticeKind, NotificationState};
    use tidemill_core::{AlertId, NotificationId, Timestamp};

    use super::*;

    /// A notification about deployment `shop`.
    pub(in crate::alerts) fn notification() -> Notification {
        let at = Timestamp::from_millis(1_767_571_200_000);
        Notification {
            id: NotificationId::new(at, 2),
            alert: AlertId::new(at, 1),
            channel: "team".parse().unwrap(),
            kind: NoticeKind::Firing,
            key: AlertKey {
                rule: "unhealthy".parse().unwrap(),
                deployment: Some("shop".parse().unwrap()),
                subject: String::new(),
            },
            severity: AlertSeverity::Page,
            labels: vec![("team".to_owned(), "<shop>".to_owned())],
            summary: "5 of 6 attempts failed & <!channel>".to_owned(),
            fired_at: at,
            created_at: at,
            tries: 0,
            error: String::new(),
            state: NotificationState::Waiting,
        }
    }

    #[test]
    fn a_message_names_what_is_wrong_and_how_to_acknowledge_it() {
        let notification = notification();
        let message = AlertMessage::new(&notification, "node");
        assert_eq!(message.subject(), "[page] firing: unhealthy on shop");
        let text = message.text();
        assert!(text.starts_with("5 of 6 attempts failed") && text.contains("tidemill alerts ack 01"), "{text}");
        let slack = message.slack()["text"].as_str().unwrap().to_owned();
        assert!(slack.contains("&amp; &lt;!channel&gt;") && !slack.contains('<'), "{slack}");
        let webhook = message.webhook();
        assert_eq!((&webhook["type"], &webhook["data"]["deployment"]), (&json!("alert.firing"), &json!("shop")));
        assert_eq!(webhook["data"]["labels"], json!({ "team": "<shop>" }));
        assert!(webhook["data"].get("subject").is_none());
        let test = AlertMessage::test(&notification, "node");
        assert_eq!(test.webhook()["type"], "alert.test");
        assert!(!test.text().contains("acknowledge"));
    }

    #[test]
    fn a_message_about_the_host_names_it() {
        let mut notification = notification();
        notification.key.deployment = None;
        notification.key.subject = "free-disk".to_owned();
        let message = AlertMessage::new(&notification, "node-1");
        assert_eq!(message.subject(), "[page] firing: unhealthy on host node-1 (free-disk)");
    }
}
