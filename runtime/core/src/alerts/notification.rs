//! A notification about an alert, from the commit that creates it until it is sent or given up.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AlertKey, AlertSeverity};
use crate::ids::{AlertId, ChannelName, NotificationId, Timestamp};

/// Maximum size of the reason why a try failed, in bytes.
pub const NOTIFICATION_ERROR_BYTES: usize = 512;

/// Why a notification is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// The alert began to fire, or became more urgent.
    Firing,
    /// It still fires.
    Repeated,
    /// It was not acknowledged in time.
    Escalated,
    /// It is over.
    Resolved,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Firing, Self::Repeated, Self::Escalated, Self::Resolved];

    /// Its name in notifications and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Repeated => "repeated",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for NoticeKind {
    type Err = UnknownNoticeKind;

    fn from_str(text: &str) -> Result<Self, UnknownNoticeKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownNoticeKind)
    }
}

/// A text is not the name of a kind of notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of notification")]
pub struct UnknownNoticeKind;

/// What a step of an alert sends, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Why.
    pub kind: NoticeKind,
    /// The channels, each once.
    pub channels: Vec<ChannelName>,
}

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationState {
    /// It is not sent yet.
    Waiting,
    /// Its receiver has accepted it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// The host has given up.
    Dead {
        /// When.
        at: Timestamp,
    },
}

impl NotificationState {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent { .. } => "sent",
            Self::Dead { .. } => "dead",
        }
    }
}

/// A notification about an alert to one channel, with the alert as it was when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id, which its receiver sees at each try.
    pub id: NotificationId,
    /// The alert.
    pub alert: AlertId,
    /// The channel.
    pub channel: ChannelName,
    /// Why it is sent.
    pub kind: NoticeKind,
    /// What the alert is about.
    pub key: AlertKey,
    /// How urgent the alert was.
    pub severity: AlertSeverity,
    /// The labels of the alert.
    pub labels: Vec<(String, String)>,
    /// What was wrong.
    pub summary: String,
    /// When the alert began to fire.
    pub fired_at: Timestamp,
    /// When the notification was created.
    pub created_at: Timestamp,
    /// Number of tries so far.
    pub tries: u32,
    /// Why the last try failed; empty if none did. At most [`NOTIFICATION_ERROR_BYTES`].
    pub error: String,
    /// What became of it.
    pub state: NotificationState,
}
