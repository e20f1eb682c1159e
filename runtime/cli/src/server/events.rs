//! The host's event feed, as `dev` and `demo` show it.

use serde_json::Value;
use tidemill_core::Timestamp;
use tidemill_core::wire::grouped;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::client::Client;
use crate::money::amount;
use crate::printer::clean;
use crate::run::logs::LineSplitter;
use crate::text::bytes;

/// One event of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The kind, such as `run`, `delivery`, `deployment`, `breaker`, `schedule` or `posted`.
    pub kind: String,
    /// The fields of the event.
    pub data: Value,
}

impl Event {
    /// Returns the text field of that name; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.data[name].as_str().unwrap_or_default()
    }

    /// Returns the number field of that name; 0 if there is none.
    pub fn number(&self, name: &str) -> u64 {
        self.data[name].as_u64().unwrap_or_default()
    }

    /// Returns the reason after a colon, if one was given.
    fn note(&self) -> String {
        let note = self.text("note");
        if note.is_empty() { String::new() } else { format!(": {}", clean(note)) }
    }

    /// Returns whether the event is the end of a run.
    pub fn is_end_of_run(&self) -> bool {
        self.kind == "run" && matches!(self.text("state"), "succeeded" | "failed" | "cancelled" | "parked")
    }

    /// Formats the event as one line for people; `None` for events of no interest, such as the
    /// start of a run.
    pub fn line(&self) -> Option<String> {
        let what = match self.kind.as_str() {
            "run" if self.is_end_of_run() => {
                let code = self.text("code");
                let state = if code.is_empty() {
                    self.text("state").to_owned()
                } else {
                    format!("{}, {}", self.text("state"), clean(code))
                };
                format!(
                    "{:14} {:9} {state:10} {:>5} ms {:>13} fuel {:>10}",
                    self.text("deployment"),
                    self.text("trigger"),
                    self.number("took_millis"),
                    grouped(self.number("fuel")),
                    bytes(self.number("peak_memory")),
                )
            }
            "posted" => {
                let earned = self.data["net_revenue"].as_i64().unwrap_or_default();
                format!(
                    "{:14} posted    {} entries, {}",
                    self.text("stream"),
                    grouped(self.number("entries")),
                    amount(earned.into(), self.text("currency"))
                )
            }
            "deployment" => {
                format!("{:14} {}, revision {}", self.text("deployment"), self.text("change"), self.number("revision"))
            }
            "alert" => {
                let about = if self.text("deployment").is_empty() { "(host)" } else { self.text("deployment") };
                let (rule, summary) = (self.text("rule"), clean(self.text("summary")));
                format!("{about:14} alert {} {}: {summary}", clean(rule), self.text("change"))
            }
            "breaker" => {
                let (deployment, reason) = (self.text("deployment"), clean(self.text("reason")));
                format!("{deployment:14} circuit breaker {}: {reason}", self.text("state"))
            }
            "incident" => {
                let of = if self.text("deployment").is_empty() { "the host" } else { self.text("deployment") };
                let (number, phase) = (self.number("incident"), self.text("phase"));
                format!("{of:14} incident {number} {phase}: {}", clean(self.text("reason")))
            }
            "schedule" => {
                let (deployment, schedule) = (self.text("deployment"), self.text("schedule"));
                format!("{deployment:14} {schedule} {}{}", self.text("change"), self.note())
            }
            "delivery" => {
                format!("{:14} {} {}", self.text("deployment"), self.text("hook"), self.text("change"))
            }
            "clock" => format!(
                "{:14} was set back: {} schedules are silent, the last until {}",
                "the clock",
                grouped(self.number("schedules")),
                self.text("until")
            ),
            "subscription" => {
                let events = match self.text("change") {
                    "paused" | "resumed" => String::new(),
                    _ => format!(": {} events", grouped(self.number("events"))),
                };
                let (deployment, subscription) = (self.text("deployment"), self.text("subscription"));
                format!("{deployment:14} {subscription} {}{events}{}", self.text("change"), self.note())
            }
            "operator" => {
                let (deployment, action) = (self.text("deployment"), self.text("action"));
                format!("{deployment:14} {action} by a run of {}{}", self.text("by"), self.note())
            }
            "secret" => {
                format!("{:14} {}, version {}", self.text("secret"), self.text("change"), self.number("version"))
            }
            "state" => {
                let key = clean(self.text("key"));
                format!("{:14} state of {key} {} by hand", self.text("deployment"), self.text("change"))
            }
            _ => return None,
        };
        Some(format!("{} {what}", clock(self.text("at"))).trim_end().to_owned())
    }
}

/// Returns the time of day of an RFC 3339 time.
fn clock(at: &str) -> String {
    Timestamp::parse_rfc3339(at)
        .map_or_else(|| at.to_owned(), |at| at.to_rfc3339().get(11..19).unwrap_or_default().to_owned())
}

/// Parses server-sent events from a stream of bytes.
#[derive(Debug, Default)]
pub struct Reader {
    lines: LineSplitter,
    kind: String,
}

impl Reader {
    /// Returns the events that `piece` completes. The data of each event is one line.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for line in self.lines.take(piece) {
            let line = String::from_utf8_lossy(&line);
            if let Some(kind) = line.strip_prefix("event: ") {
                kind.trim().clone_into(&mut self.kind);
            } else if let Some(data) = line.strip_prefix("data: ")
                && let Ok(data) = serde_json::from_str(data)
            {
                events.push(Event { kind: std::mem::take(&mut self.kind), data });
            }
        }
        events
    }
}

/// Sends every event from now on, until the host ends or the receiver is dropped.
pub fn listen(client: &Client) -> UnboundedReceiver<Event> {
    let (send, events) = mpsc::unbounded_channel();
    let client = client.clone();
    tokio::spawn(async move {
        let mut reader = Reader::default();
        let ended = client
            .follow("/v1/events", &[("accept", "text/event-stream")], |piece| {
                reader.take(piece).into_iter().all(|event| send.send(event).is_ok())
            })
            .await;
        if let Err(why) = ended {
            tracing::debug!(%why, "the feed of events ended");
        }
    });
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_pieces_end() {
        let mut reader = Reader::default();
        assert!(reader.take(b"retry: 2000\n\nid: 1\nevent: ru").is_empty());
        let events = reader.take(b"n\ndata: {\"state\": \"failed\", \"code\": \"host/trap\"}\n\n: still here\n\n");
        assert_eq!(events.len(), 1);
        let data = serde_json::json!({ "deployment": "a", "subscription": "s", "change": "paused", "events": 0, "note": "why" });
        let paused = Event { kind: "subscription".to_owned(), data };
        assert!(paused.line().unwrap().ends_with("a              s paused: why"), "{paused:?}");
        let data =
            serde_json::json!({ "deployment": "a", "state": "open", "reason": "6 of the last 10 attempts failed" });
        let opened = Event { kind: "breaker".to_owned(), data }.line().unwrap();
        assert!(opened.ends_with("a              circuit breaker open: 6 of the last 10 attempts failed"), "{opened}");
        let data = serde_json::json!({ "deployment": "a", "action": "rollback", "by": "runbook", "note": "it traps" });
        let acted = Event { kind: "operator".to_owned(), data }.line().unwrap();
        assert!(acted.ends_with("a              rollback by a run of runbook: it traps"), "{acted}");
        assert!(events[0].is_end_of_run() && events[0].line().unwrap().contains("failed, host/trap"));
    }
}
