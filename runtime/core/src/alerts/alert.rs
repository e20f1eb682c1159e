//! An alert, and the steps of its life: it fires, is announced, repeated and escalated, is
//! acknowledged, and is over.

use serde::{Deserialize, Serialize};

use super::config::AlertConfig;
use super::notification::{Notice, NoticeKind};
use super::{AlertKey, AlertSeverity, SUMMARY_BYTES, one_line};
use crate::ids::{AlertId, ChannelName, Timestamp};

/// Who has seen an alert, and what they wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Their note; may be empty.
    pub note: String,
}

/// The state of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertState {
    /// Its condition holds, and no person has seen it.
    Firing,
    /// Its condition holds, and a person has seen it: it is neither repeated nor escalated.
    Acknowledged(Acknowledgement),
    /// It is over.
    Resolved {
        /// When.
        at: Timestamp,
        /// Who had seen it.
        acknowledgement: Option<Acknowledgement>,
    },
}

impl AlertState {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Acknowledged(_) => "acknowledged",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// Who has seen the alert.
    #[must_use]
    pub const fn acknowledgement(&self) -> Option<&Acknowledgement> {
        match self {
            Self::Firing => None,
            Self::Acknowledged(acknowledgement) => Some(acknowledgement),
            Self::Resolved { acknowledgement, .. } => acknowledgement.as_ref(),
        }
    }
}

/// An alert: one for each key at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// What it is about.
    pub key: AlertKey,
    /// How urgent it is.
    pub severity: AlertSeverity,
    /// The labels of its rule.
    pub labels: Vec<(String, String)>,
    /// What is wrong, or was last wrong. At most [`SUMMARY_BYTES`].
    pub summary: String,
    /// Since when its condition held.
    pub began_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Timestamp,
    /// Its state.
    pub state: AlertState,
    /// When it was first announced with this severity; `None` before, or if it was silenced.
    pub announced_at: Option<Timestamp>,
    /// When it was last announced or repeated.
    pub repeated_at: Option<Timestamp>,
    /// Number of escalations since it was announced with this severity.
    pub escalations: u32,
    /// The channels that know of it, each once. The notice that it is over goes to them.
    pub channels: Vec<ChannelName>,
}

/// A step of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertStep {
    /// Announces it to channels.
    Announce {
        /// When.
        at: Timestamp,
        /// Where.
        channels: Vec<ChannelName>,
    },
    /// Makes it more urgent. An acknowledgement of the less urgent alert does not count for it.
    Raise {
        /// The new severity.
        severity: AlertSeverity,
        /// What is wrong now.
        summary: String,
    },
    /// Announces it again to the channels that know of it.
    Repeat {
        /// When.
        at: Timestamp,
    },
    /// Announces it to one more channel, because no person has acknowledged it.
    Escalate {
        /// When.
        at: Timestamp,
        /// Where.
        channel: ChannelName,
    },
    /// Records that a person has seen it.
    Acknowledge(Acknowledgement),
    /// Ends it, and sends a notice to the channels that know of it.
    Resolve {
        /// When.
        at: Timestamp,
    },
}

/// An alert after a step, and what the step sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertTransition {
    /// The alert.
    pub alert: Alert,
    /// What is sent; `None` if there is nothing to send.
    pub notice: Option<Notice>,
}

/// A step does not fit the state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the alert is {state}, and cannot be {step}")]
pub struct IllegalAlertStep {
    /// The alert's state.
    pub state: &'static str,
    /// The step.
    pub step: &'static str,
}

impl Alert {
    /// Returns an alert that begins to fire `now`. It is not announced yet.
    #[must_use]
    pub fn new(
        id: AlertId,
        key: AlertKey,
        severity: AlertSeverity,
        labels: Vec<(String, String)>,
        summary: &str,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            key,
            severity,
            labels,
            summary: one_line(summary, SUMMARY_BYTES),
            began_at: began_at.min(now),
            fired_at: now,
            state: AlertState::Firing,
            announced_at: None,
            repeated_at: None,
            escalations: 0,
            channels: Vec::new(),
        }
    }

    /// Whether it is not over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, AlertState::Resolved { .. })
    }

    /// Returns the alert after a step.
    ///
    /// # Errors
    /// If the step does not fit its state, because another one came first.
    pub fn next(&self, step: AlertStep) -> Result<AlertTransition, IllegalAlertStep> {
        let illegal = |step| Err(IllegalAlertStep { state: self.state.as_str(), step });
        let mut alert = self.clone();
        let notice = match (&self.state, step) {
            (AlertState::Firing, AlertStep::Announce { at, channels }) if self.announced_at.is_none() => {
                (alert.announced_at, alert.repeated_at) = (Some(at), Some(at));
                channels.iter().for_each(|channel| alert.add_channel(channel));
                // A more urgent alert is announced to those who know the less urgent one, too.
                Some(Notice { kind: NoticeKind::Firing, channels: alert.channels.clone() })
            }
            (AlertState::Firing, AlertStep::Announce { .. }) => return illegal("announced again"),
            (AlertState::Acknowledged(_), AlertStep::Announce { .. }) => return illegal("announced"),
            (AlertState::Firing | AlertState::Acknowledged(_), AlertStep::Raise { severity, summary })
                if severity > self.severity =>
            {
                (alert.severity, alert.summary) = (severity, one_line(&summary, SUMMARY_BYTES));
                (alert.announced_at, alert.escalations, alert.state) = (None, 0, AlertState::Firing);
                None
            }
            (AlertState::Firing, AlertStep::Repeat { at }) if self.announced_at.is_some() => {
                alert.repeated_at = Some(at);
                Some(Notice { kind: NoticeKind::Repeated, channels: alert.channels.clone() })
            }
            (AlertState::Firing, AlertStep::Escalate { channel, .. }) if self.announced_at.is_some() => {
                alert.escalations = alert.escalations.saturating_add(1);
                alert.add_channel(&channel);
                Some(Notice { kind: NoticeKind::Escalated, channels: vec![channel] })
            }
            (AlertState::Firing, AlertStep::Acknowledge(acknowledgement)) => {
                alert.state = AlertState::Acknowledged(acknowledgement);
                None
            }
            (AlertState::Firing | AlertState::Acknowledged(_), AlertStep::Resolve { at }) => {
                let acknowledgement = self.state.acknowledgement().cloned();
                alert.state = AlertState::Resolved { at, acknowledgement };
                Some(Notice { kind: NoticeKind::Resolved, channels: alert.channels.clone() })
            }
            (_, AlertStep::Announce { .. }) => return illegal("announced"),
            (_, AlertStep::Raise { .. }) => return illegal("raised"),
            (_, AlertStep::Repeat { .. }) => return illegal("repeated"),
            (_, AlertStep::Escalate { .. }) => return illegal("escalated"),
            (_, AlertStep::Acknowledge(_)) => return illegal("acknowledged"),
            (_, AlertStep::Resolve { .. }) => return illegal("resolved"),
        };
        let notice = notice.filter(|notice| !notice.channels.is_empty());
        Ok(AlertTransition { alert, notice })
    }

    fn add_channel(&mut self, channel: &ChannelName) {
        if !self.channels.contains(channel) {
            self.channels.push(channel.clone());
        }
    }

    /// Returns the step that is due `now` to notify people, if there is one. A silenced alert is
    /// neither announced, repeated nor escalated.
    #[must_use]
    pub fn due(&self, config: &AlertConfig, silenced: bool, now: Timestamp) -> Option<AlertStep> {
        if silenced || self.state != AlertState::Firing {
            return None;
        }
        let route = config.route(self.severity);
        if self.announced_at.is_none() {
            // Without a channel it waits for one, which the operator may add.
            return (!route.channels.is_empty())
                .then(|| AlertStep::Announce { at: now, channels: route.channels.clone() });
        }
        if self.escalation_at(config).is_some_and(|at| at <= now) {
            let channel = route.escalation.get(self.escalations as usize)?;
            return Some(AlertStep::Escalate { at: now, channel: channel.clone() });
        }
        self.repeat_at(config).filter(|at| *at <= now).map(|_| AlertStep::Repeat { at: now })
    }

    /// Returns when a step is due next, if the alert is not silenced.
    #[must_use]
    pub fn next_due(&self, config: &AlertConfig) -> Option<Timestamp> {
        if self.state != AlertState::Firing {
            return None;
        }
        if self.announced_at.is_none() {
            return (!config.route(self.severity).channels.is_empty()).then_some(self.fired_at);
        }
        self.escalation_at(config).into_iter().chain(self.repeat_at(config)).min()
    }

    /// Returns when the next escalation is due.
    fn escalation_at(&self, config: &AlertConfig) -> Option<Timestamp> {
        let (route, announced) = (config.route(self.severity), self.announced_at?);
        route.escalation.get(self.escalations as usize)?;
        let number = u64::from(self.escalations) + 1;
        Some(announced.plus_millis(route.escalate_after_millis.saturating_mul(number)))
    }

    /// Returns when the next repetition is due.
    fn repeat_at(&self, config: &AlertConfig) -> Option<Timestamp> {
        let repeated = self.repeated_at.filter(|_| !self.channels.is_empty())?;
        Some(repeated.plus_millis(config.repeat_millis))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn channel(name: &str) -> ChannelName {
        name.parse().unwrap()
    }

    fn config() -> AlertConfig {
        let text = "repeat = \"1h\"\n[channels.a]\nkind = \"slack\"\nurl_secret = \"s\"\n\
            [channels.b]\nkind = \"slack\"\nurl_secret = \"s\"\n[channels.c]\nkind = \"slack\"\nurl_secret = \"s\"\n\
            [routes.page]\nchannels = [\"a\"]\nescalation = [\"b\", \"c\"]\nescalate_after = \"10m\"";
        AlertConfig::parse_toml(text).unwrap()
    }

    fn firing(severity: AlertSeverity) -> Alert {
        let key = AlertKey { rule: "unhealthy".parse().unwrap(), deployment: None, subject: String::new() };
        Alert::new(AlertId::new(at(100), 1), key, severity, vec![], "it is down", at(90), at(100))
    }

    fn step(alert: &Alert, step: AlertStep) -> (Alert, Option<Notice>) {
        let AlertTransition { alert, notice } = alert.next(step).unwrap();
        (alert, notice)
    }

    /// Takes the step that is due at each second until `end`, and returns what is sent.
    fn live(alert: &mut Alert, from: u64, end: u64) -> Vec<(u64, &'static str, Vec<String>)> {
        let mut sent = Vec::new();
        for second in from..end {
            while let Some(due) = alert.due(&config(), false, at(second)) {
                let (next, notice) = step(alert, due);
                *alert = next;
                sent.extend(notice.map(|it| {
                    (second, it.kind.as_str(), it.channels.iter().map(ToString::to_string).collect::<Vec<_>>())
                }));
            }
        }
        sent
    }

    #[test]
    fn an_alert_is_announced_escalated_in_order_and_repeated() {
        let mut alert = firing(AlertSeverity::Page);
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            live(&mut alert, 100, 100 + 7_300),
            [
                (100, "firing", all(&["a"])),
                (700, "escalated", all(&["b"])),
                (1_300, "escalated", all(&["c"])),
                (3_700, "repeated", all(&["a", "b", "c"])),
                (7_300, "repeated", all(&["a", "b", "c"])),
            ]
        );
        let (over, notice) = step(&alert, AlertStep::Resolve { at: at(9_000) });
        assert_eq!(notice.unwrap().channels, ["a", "b", "c"].map(channel));
        assert!(!over.is_open() && over.due(&config(), false, at(90_000)).is_none());
    }

    #[test]
    fn an_acknowledged_alert_is_neither_repeated_nor_escalated_but_its_end_is_sent() {
        let mut alert = firing(AlertSeverity::Page);
        live(&mut alert, 100, 101);
        let seen = Acknowledgement { at: at(101), actor: "ann".to_owned(), note: String::new() };
        let (mut alert, notice) = step(&alert, AlertStep::Acknowledge(seen.clone()));
        assert_eq!(notice, None);
        assert_eq!((live(&mut alert, 101, 20_000), alert.next_due(&config())), (vec![], None));
        let (alert, notice) = step(&alert, AlertStep::Resolve { at: at(300) });
        assert_eq!(notice, Some(Notice { kind: NoticeKind::Resolved, channels: vec![channel("a")] }));
        assert_eq!(alert.state, AlertState::Resolved { at: at(300), acknowledgement: Some(seen) });
    }

    #[test]
    fn an_alert_that_was_never_announced_ends_without_a_notice() {
        let (alert, notice) = step(&firing(AlertSeverity::Page), AlertStep::Resolve { at: at(200) });
        assert_eq!((alert.is_open(), notice), (false, None));
    }

    #[test]
    fn a_more_urgent_alert_is_announced_again_although_it_was_acknowledged() {
        let mut alert = firing(AlertSeverity::Ticket);
        assert_eq!(live(&mut alert, 100, 101), [], "tickets have no channel here");
        let seen = Acknowledgement { at: at(101), actor: "ann".to_owned(), note: String::new() };
        let (alert, _) = step(&alert, AlertStep::Acknowledge(seen));
        let raise = || AlertStep::Raise { severity: AlertSeverity::Page, summary: "worse".to_owned() };
        let (mut alert, notice) = step(&alert, raise());
        assert_eq!((alert.summary.as_str(), notice), ("worse", None));
        assert_eq!(live(&mut alert, 110, 112).len(), 1);
        assert!(alert.next(raise()).is_err(), "it is no more urgent than it was");
    }

    fn steps() -> impl Strategy<Value = AlertStep> {
        let channel = (0u8..4).prop_map(|number| format!("c{number}").parse::<ChannelName>().unwrap());
        prop_oneof![
            prop::collection::vec(channel.clone(), 0..3)
                .prop_map(|channels| AlertStep::Announce { at: at(1), channels }),
            Just(AlertStep::Raise { severity: AlertSeverity::Page, summary: "\u{7}worse".repeat(200) }),
            Just(AlertStep::Repeat { at: at(2) }),
            channel.prop_map(|channel| AlertStep::Escalate { at: at(3), channel }),
            Just(AlertStep::Acknowledge(Acknowledgement { at: at(4), actor: "ann".to_owned(), note: String::new() })),
            Just(AlertStep::Resolve { at: at(5) }),
        ]
    }

    proptest! {
        #[test]
        fn a_resolved_alert_accepts_nothing_and_each_channel_hears_of_its_end_once(
            list in prop::collection::vec(steps(), 0..40),
        ) {
            let mut alert = firing(AlertSeverity::Ticket);
            let mut open = Vec::new();
            for next in list {
                let resolves = matches!(next, AlertStep::Resolve { .. });
                match alert.next(next) {
                    Err(_) => {}
                    Ok(AlertTransition { alert: next, notice }) => {
                        prop_assert!(alert.is_open());
                        prop_assert!(next.severity >= alert.severity);
                        let is_clean = next.summary.len() <= SUMMARY_BYTES && !next.summary.contains('\u{7}');
                        prop_assert!(is_clean);
                        let channels = notice.as_ref().map(|it| it.channels.clone()).unwrap_or_default();
                        match notice.map(|it| it.kind) {
                            Some(NoticeKind::Resolved) => {
                                prop_assert!(resolves);
                                let mut known = open.clone();
                                let mut ended = channels.clone();
                                known.sort();
                                ended.sort();
                                prop_assert_eq!(known, ended);
                            }
                            _ => {
                                for channel in channels {
                                    if !open.contains(&channel) { open.push(channel); }
                                }
                            }
                        }
                        alert = next;
                    }
                }
                prop_assert!(!matches!(alert.state, AlertState::Acknowledged(_)) || alert.due(&config(), false, at(1_000_000)).is_none());
            }
        }
    }
}
