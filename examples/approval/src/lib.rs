//! Asks a person, and waits for days: the answer comes as a signal, reminders go out meanwhile, and after the last of them the answer is no. While it waits the
//! run holds no memory.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tidemill_sdk::{Result, Schema, context, durable, http, info, signal, step};

/// What a run is started with.
#[derive(Deserialize, Schema)]
struct Request {
    /// What is to be approved, for a person to read.
    what: String,
    /// Who is asked.
    approver: String,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    /// Takes `{"to", "text"}` and tells the person.
    notify: String,
    /// Between two reminders.
    remind_after_hours: u64,
    /// How many reminders there are before the answer is no.
    reminders: u32,
}

/// The payload of the signal `decision`. A host refuses any other.
#[derive(Deserialize, Schema)]
struct Decision {
    approved: bool,
    by: String,
}

/// What a run answers.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Answer {
    approved: bool,
    /// Nobody where no answer came.
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
            tell(&config, &request.approver, &format!("Still to be decided: {}", request.what))?;
        }
    }
    tell(&config, &request.approver, &format!("Nobody decided, so it is refused: {}", request.what))?;
    Ok(Answer { approved: false, by: None, reminders: config.reminders })
}

/// A step of its own, so that a message which left is not sent again.
fn tell(config: &Config, to: &str, text: &str) -> Result<()> {
    step("tell", || http::post(&config.notify).json(&json!({ "to": to, "text": text })).send()?.ok().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Ran};

    const DAY: Duration = Duration::from_secs(86_400);

    fn harness() -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml")).http("POST", "http://127.0.0.1:8081/notify", |_| 204)
    }

    fn input() -> serde_json::Value {
        json!({ "what": "a new lamp", "approver": "ada" })
    }

    fn told(ran: &Ran<Answer>) -> usize {
        ran.effects().len()
    }

    #[test]
    fn an_answer_after_two_days_and_a_half_comes_after_two_reminders() {
        let decision = json!({ "approved": true, "by": "ada" });
        let ran = harness().signal(DAY * 5 / 2, "decision", decision).crash_everywhere(approve, input());
        assert_eq!(*ran.succeeded(), Answer { approved: true, by: Some("ada".into()), reminders: 2 });
        assert_eq!((told(&ran), ran.elapsed()), (3, DAY * 5 / 2));
    }

    #[test]
    fn silence_is_a_no_after_the_last_reminder() {
        let ran = harness().crash_everywhere(approve, input());
        assert_eq!(*ran.succeeded(), Answer { approved: false, by: None, reminders: 3 });
        assert_eq!((told(&ran), ran.elapsed()), (5, DAY * 4));
    }

    #[test]
    fn an_answer_that_came_before_the_question_was_read_counts() {
        let decision = json!({ "approved": false, "by": "ada" });
        let ran = harness().signal(Duration::ZERO, "decision", decision).run(approve, input());
        assert!(!ran.succeeded().approved && ran.elapsed() == Duration::ZERO);
    }

    #[test]
    fn whoever_asked_may_take_it_back() {
        assert!(harness().cancel(DAY).crash_everywhere(approve, input()).was_cancelled());
    }
}
