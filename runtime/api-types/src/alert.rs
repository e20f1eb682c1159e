//! Alerts, notifications about them, silences and channels.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;
use crate::shared::{Pairs, pairs};

/// An alert: something that a person should look at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Alert<'a> {
    /// The id; left out while the alert is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// `pending`: its condition holds, but not for as long as its rule requires. `firing`: its
    /// condition holds. `acknowledged`: it does, and a person has seen it. `resolved`: it is over.
    pub state: Cow<'a, str>,
    /// `page` or `ticket`.
    pub severity: Cow<'a, str>,
    /// The rule.
    pub rule: Cow<'a, str>,
    /// The deployment; left out if the alert is about the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// What of them, such as a vital, an objective or an incident; left out if they say enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// What is wrong, or was last wrong.
    pub summary: Cow<'a, str>,
    /// The labels of the rule.
    #[serde(with = "pairs", skip_serializing_if = "no_pairs", default = "none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<std::collections::BTreeMap<String, String>>))]
    pub labels: Pairs<'a>,
    /// Since when the condition holds, or held.
    pub began: Time,
    /// When the alert began to fire, or will.
    pub fired: Time,
    /// When it was first announced; left out if it was not, because it is silenced or because no
    /// channel is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Time>,
    /// Whether a silence matches it now.
    pub silenced: bool,
    /// Number of escalations.
    pub escalations: u32,
    /// The channels that know of it.
    pub channels: Vec<Cow<'a, str>>,
    /// Who has seen it; left out if no person has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledgement<'a>>,
    /// When it was over; left out while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Time>,
}

fn no_pairs(pairs: &Pairs<'_>) -> bool {
    pairs.is_empty()
}

fn none() -> Pairs<'static> {
    Cow::Borrowed(&[])
}

/// Who has seen an alert.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Acknowledgement<'a> {
    /// When.
    pub at: Time,
    /// Who.
    pub actor: Cow<'a, str>,
    /// What they wrote; may be empty.
    pub note: Cow<'a, str>,
}

/// An alert with the notifications about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct AlertDetail<'a> {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert<'a>,
    /// The notifications about it in the order of their creation, at most 500.
    pub notifications: Vec<Notification<'a>>,
}

/// A notification about an alert to one channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Notification<'a> {
    /// The id, which the receiver sees at each try.
    pub id: Cow<'a, str>,
    /// The channel.
    pub channel: Cow<'a, str>,
    /// `firing`, `repeated`, `escalated` or `resolved`.
    pub kind: Cow<'a, str>,
    /// `waiting`, `sent`, or `dead` if the host has given up.
    pub state: Cow<'a, str>,
    /// When it was created.
    pub created: Time,
    /// When it was sent or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Number of tries.
    pub tries: u32,
    /// Why the last try failed, or why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
}

/// Records that a person has seen an alert.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct AcknowledgeRequest {
    /// Who has seen it; `operator` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// A note for other people, of at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A silence: which alerts are not announced, and until when.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Silence<'a> {
    /// The id.
    pub id: Cow<'a, str>,
    /// Of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// About this deployment, or about those whose names begin with a text that `*` follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// With this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Cow<'a, str>>,
    /// When it was created.
    pub created: Time,
    /// When it ends.
    pub ends: Time,
    /// Why.
    pub note: Cow<'a, str>,
    /// Who created it.
    pub actor: Cow<'a, str>,
}

/// A new silence. It names a rule, a deployment or a severity; an alert must match all that it
/// names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct SilenceRequest {
    /// Alerts of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Alerts about this deployment, or about those whose names begin with a text that `*`
    /// follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "team-*"))]
    pub deployment: Option<String>,
    /// Alerts with this severity: `page` or `ticket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// When it ends, within 90 days.
    pub ends: Time,
    /// Why; 1 byte to 1 KiB.
    #[cfg_attr(feature = "schema", schema(example = "the provider moves"))]
    pub note: String,
    /// Who; `operator` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// A channel for notifications, and its queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct AlertChannel<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// `slack`, `webhook`, `email` or `workflow`; left out if the configuration does not name the
    /// channel any more, and notifications still wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'a, str>>,
    /// Where it leads, without a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Cow<'a, str>>,
    /// Number of notifications that wait.
    pub waiting: u64,
    /// Number of failures in a row since the host started.
    pub failures: u32,
    /// Why the last try failed; left out if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// When the next try is due; left out if none is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// When a notification was last sent since the host started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Time>,
}

/// The result of a test of a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct AlertChannelTest<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// The id of the message.
    pub id: Cow<'a, str>,
    /// Whether the receiver has accepted it.
    pub sent: bool,
    /// Why it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
}
