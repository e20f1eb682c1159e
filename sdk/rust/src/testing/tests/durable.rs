//! Steps, sagas, retries of the run, continue-as-new and recordings.

use crate::testing::{Answer, End, Harness, Recording, RunResult};
use crate::{Error, Result, Retry, clock, context, durable, http, random, saga, sleep, state, step};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_step_is_tried_again_and_a_failed_attempt_leaves_nothing() {
    let work = |(): ()| {
        let attempts = durable::step_with("flaky", Retry::times(3).every(Duration::from_secs(60)), |attempt| {
            state::set(&format!("attempt/{attempt}"), &true)?;
            if attempt < 3 { Err(Error::retryable("not-yet", "later")) } else { Ok(attempt) }
        })?;
        Ok::<_, Error>(attempts)
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!(*ran.succeeded(), 3);
    assert_eq!(ran.elapsed(), Duration::from_secs(120));
    assert_eq!(ran.state_of("test").into_keys().collect::<Vec<_>>(), ["attempt/3"]);
}

#[test]
fn what_a_step_gave_up_on_is_not_tried_again_by_what_encloses_it() {
    let work = |(): ()| -> Result<()> {
        step("outer", || step("inner", || Err::<(), _>(Error::retryable("down", "the provider is down"))))
    };
    let ran = Harness::new().retry(Retry::times(2).every(Duration::from_secs(1))).crash_everywhere(work, ());
    assert_eq!((ran.failed().code(), ran.failed().is_retryable(), ran.attempts()), ("down", false, 1));
    assert_eq!(ran.elapsed(), Duration::from_secs(2), "the inner step alone was tried again");
}

#[test]
fn a_handled_exhaustion_is_found_in_the_record() {
    let work = |(): ()| -> Result<String> {
        let found = step("charge", || Err::<(), _>(Error::new("card-declined", "no")));
        sleep(Duration::from_secs(1))?;
        Ok(found.unwrap_err().code().to_owned())
    };
    assert_eq!(Harness::new().crash_everywhere(work, ()).succeeded(), "card-declined");
}

#[test]
fn a_step_neither_waits_nor_starts_runs() {
    let harness = Harness::new().deployment("other", |(): ()| Ok::<_, Error>(()));
    for work in [
        || sleep(Duration::from_secs(1)),
        || durable::start("other", &()).send().map(drop),
        || durable::await_all(&[], None).map(drop),
        || Err(durable::continue_as_new(&())),
    ] {
        let ran = harness.run(|(): ()| step("work", work), ());
        assert_eq!(ran.failed().code(), "host/wait-in-step");
    }
}

#[test]
fn a_saga_undoes_in_reverse_what_it_did() {
    let ran = Harness::new().crash_everywhere(book_three, 3);
    assert_eq!(ran.failed().code(), "full");
    assert_eq!(seen(&ran), ["book 1", "book 2", "release 2", "release 1"]);
    assert_eq!(Harness::new().run(book_three, 9).events().len(), 3);
}

#[test]
fn a_saga_that_is_cancelled_anywhere_is_undone() {
    let undone = |ran: &RunResult<()>| {
        let seen = seen(ran);
        let (booked, released) = seen.split_at(seen.len() / 2);
        let undone: Vec<_> = booked.iter().rev().map(|booking| booking.replace("book", "release")).collect();
        assert_eq!(released, undone);
    };
    Harness::new().cancel_everywhere(book_three, 9, undone);
    // Also if the run was already undoing its work.
    Harness::new().cancel_everywhere(book_three, 3, undone);
}

fn book_three(fails_at: u32) -> Result<()> {
    let note = |what: String| crate::events::publish("seen", &what);
    saga(|saga| {
        for n in 1..=3 {
            let book = || if n == fails_at { Err(Error::new("full", "no room")) } else { note(format!("book {n}")) };
            saga.step(&format!("book {n}"), book, move |()| note(format!("release {n}")))?;
        }
        Ok(())
    })
}

fn seen(ran: &RunResult<()>) -> Vec<String> {
    ran.events().iter().map(|event| event.payload.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_saga_cannot_undo_it_names() {
    let work = |(): ()| -> Result<()> {
        saga(|saga| {
            saga.undo("first", || Err::<(), _>(Error::new("stuck", "no way back")));
            saga.undo("second", || state::set("undone", &true));
            Err(Error::retryable("broken", "it broke"))
        })
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!(ran.failed().code(), "saga-incomplete");
    assert_eq!(ran.failed().details().unwrap()["left"][0]["step"], "undo first");
    assert_eq!(ran.state("undone"), Some(true));
}

#[test]
fn a_retry_of_the_run_keeps_what_a_host_keeps() {
    let work = |(): ()| -> Result<u32> {
        let kept: u64 = step("once", || state::get_or_default::<u64>("count").map(|count| count + 1))?;
        state::set("count", &kept)?;
        let attempt = context::attempt();
        if attempt < 3 { Err(Error::retryable("not-yet", "later")) } else { Ok(attempt) }
    };
    let ran = Harness::new().retry(Retry::times(5).every(Duration::from_secs(1))).crash_everywhere(work, ());
    assert_eq!((*ran.succeeded(), ran.attempts()), (3, 3));
    assert_eq!(ran.state("count"), Some(1), "what came after the step was dropped with each failed attempt");
}

#[test]
fn a_retry_with_nothing_to_do_again_is_not_made() {
    let ran = Harness::new().run(|(): ()| Err::<(), _>(Error::retryable("always", "the same each time")), ());
    assert_eq!((ran.failed().code(), ran.attempts()), ("always", 1));
}

fn poll(seen: u64) -> Result<()> {
    sleep(Duration::from_secs(60))?;
    state::set("seen", &(seen + 1))?;
    Err(durable::continue_as_new(&(seen + 1)))
}

#[test]
fn a_run_continues_as_new_up_to_the_maximum() {
    let ran = Harness::new().generations(4).crash_everywhere(poll, 0);
    assert_eq!(*ran.end(), End::Continues(json!(4)));
    assert_eq!((ran.generation(), ran.state("seen"), ran.elapsed()), (4, Some(4), Duration::from_secs(240)));
    assert_eq!(ran.recording().len(), 2, "a sleep and a write; each generation has a journal of its own");
}

fn order(name: String) -> Result<String> {
    let at = clock::now();
    let id: u32 = step("number", || Ok::<_, Error>(random::<u32>()))?;
    sleep(Duration::from_secs(1))?;
    Ok(format!("{name} {id} {at}"))
}

fn order_with_a_fee(name: String) -> Result<String> {
    let at = clock::now();
    let id: u32 = step("number", || Ok::<_, Error>(random::<u32>()))?;
    state::set("fee", &1)?;
    sleep(Duration::from_secs(1))?;
    Ok(format!("{name} {id} {at}"))
}

#[test]
fn a_recording_is_replayed_and_changed_code_shows() {
    let harness = Harness::new();
    let ran = harness.run(order, "Ada");
    let file = std::env::temp_dir().join(format!("tidemill-recording-{}.json", std::process::id()));
    ran.recording().save(&file).unwrap();
    let recording = Recording::load(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(recording, *ran.recording());
    assert_eq!(harness.replay(&recording, order).unwrap().succeeded(), ran.succeeded());
    let mismatch = harness.replay(&recording, order_with_a_fee).unwrap_err();
    assert_eq!(mismatch.to_string(), "entry 3: recorded `clock.sleep 1000`, called `state.set fee = 1`");
    // Before the position of the change, the old run can continue with the new code.
    assert!(harness.replay(&recording.clone().cut(2), order_with_a_fee).is_ok());
    // Code that omits a recorded call is found too.
    let shorter = harness.replay(&recording, |_: String| Ok::<_, Error>(clock::now().as_millis())).unwrap_err();
    assert_eq!(shorter.called, "the end of the run");
}

#[test]
fn randomness_is_the_same_whatever_step_was_skipped() {
    let work = |(): ()| -> Result<(u64, u64, u64)> {
        let first = random::<u64>();
        let inside = step("draw", || Ok::<_, Error>(random::<u64>()))?;
        sleep(Duration::from_secs(1))?;
        Ok((first, inside, random()))
    };
    let ran = Harness::new().crash_everywhere(work, ());
    let (a, b, c) = *ran.succeeded();
    assert!(a != b && b != c && a != c);
}

#[test]
fn requests_keep_their_key_over_attempts_unless_they_say_otherwise() {
    let charge = |new_key: bool| -> Result<()> {
        durable::step_with("charge", Retry::times(2).every(Duration::from_secs(1)), |attempt| -> Result<()> {
            let request = http::post("https://pay.example.com/charges").json(&json!({ "amount": 5 }));
            let request = if new_key { request.new_key_each_attempt() } else { request };
            let answer = request.send()?;
            if attempt < 3 { Err(Error::retryable("declined", answer.status.to_string())) } else { Ok(()) }
        })
    };
    let harness = Harness::new().http("POST", "https://pay.example.com/*", |_| Answer::status(402));
    let ran = harness.crash_everywhere(charge, false);
    assert_eq!((ran.requests().len(), ran.effects().len()), (3, 1));
    let ran = harness.crash_everywhere(charge, true);
    assert_eq!((ran.requests().len(), ran.effects().len()), (3, 3));
}
