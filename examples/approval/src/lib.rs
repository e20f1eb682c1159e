//! Requests an approval from a person and waits for days. The decision arrives as a signal. The run
//! sends reminders while it waits. Without a decision after the last reminder, the request is
//! refused. A waiting run needs no memory.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tidemill_sdk::{Result, Schema, context, durable, http, info, signal, step};

/// The input of a run.
#[derive(Deserialize, Schema)]
struct Request {
    /// The request, for a person to read.
    what: String,
    /// The person who decides.
    approver: String,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    /// The URL that receives `{"to", "text"}` and notifies the person.
    notify: String,
    /// The time between two reminders, in hours.
    remind_after_hours: u64,
    /// The number of reminders before the request is refused.
    reminders: u32,
}

/// The payload of the signal `decision`. A host refuses any other payload.
#[derive(Deserialize, Schema)]
struct Decision {
    approved: bool,
    by: String,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Answer {
    approved: bool,
    /// `None` if there was no decision.
    by: Option<String>,
    reminders: u32,
}

#[tidemill_sdk::workflow(signals(decision = Decision))]
fn approve(request: Request) -> Result<Answer> {
    let config: Config = context::config()?;
    tell(&config, &request.approver, &format!("Please decide: {} (run {})", request.what, context::id()))?;
    for reminders in 0..=config.reminders {
        durable::set_status(&json!({ "waiting_for": request.approver, "reminders": reminders }))?;
        let patience = Duration::from_secs(config.remind_after_hours * 3_600);
        if let Some(Decision { approved, by }) = signal("decision").wait_for(patience)? {
            info!("{by} decided"; approved = approved);
            return Ok(Answer { approved, by: Some(by), reminders });
        }
        if reminders < config.reminders {
            tell(&config, &request.approver, &format!("Decision pending: {}", request.what))?;
        }
    }
    tell(&config, &request.approver, &format!("Refused without a decision: {}", request.what))?;
    Ok(Answer { approved: false, by: None, reminders: config.reminders })
}

/// Notifies the person in a step, so that a message that was sent is not sent again.
fn tell(config: &Config, to: &str, text: &str) -> Result<()> {
    step("tell", || http::post(&config.notify).json(&json!({ "to": to, "text": text })).send()?.ok().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, RunResult};

    const DAY: Duration = Duration::from_secs(86_400);

    fn harness() -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml")).http("POST", "http://127.0.0.1:8081/notify", |_| 204)
    }

    fn input() -> serde_json::Value {
        json!({ "what": "a new lamp", "approver": "ada" })
    }

    fn requests_sent(ran: &RunResult<Answer>) -> usize {
        ran.effects().len()
    }

    #[test]
    fn an_answer_after_two_days_and_a_half_comes_after_two_reminders() {
        let decision = json!({ "approved": true, "by": "ada" });
        let ran = harness().signal(DAY * 5 / 2, "decision", decision).crash_everywhere(approve, input());
        assert_eq!(*ran.succeeded(), Answer { approved: true, by: Some("ada".into()), reminders: 2 });
        assert_eq!((requests_sent(&ran), ran.elapsed()), (3, DAY * 5 / 2));
    }

    #[test]
    fn silence_is_a_no_after_the_last_reminder() {
        let ran = harness().crash_everywhere(approve, input());
        assert_eq!(*ran.succeeded(), Answer { approved: false, by: None, reminders: 3 });
        assert_eq!((requests_sent(&ran), ran.elapsed()), (5, DAY * 4));
    }

    #[test]
    fn an_answer_that_came_before_the_question_was_read_counts() {
        let decision = json!({ "approved": false, "by": "ada" });
        let ran = harness().signal(Duration::ZERO, "decision", decision).run(approve, input());
        assert!(!ran.succeeded().approved && ran.elapsed() == Duration::ZERO);
    }

    #[test]
    fn a_cancelled_approval_ends_as_cancelled() {
        assert!(harness().cancel(DAY).crash_everywhere(approve, input()).was_cancelled());
    }
}
