//! State, ledger, HTTP, events and logs: what takes effect, and when.

use crate::testing::{Answer, Harness};
use crate::{
    Error, Money, Result, Retry, Timestamp, bail, clock, context, events, http, info, ledger, sleep, state, step,
};
use serde_json::json;
use std::time::Duration;

#[test]
fn state_is_read_as_this_run_wrote_it_and_scanned_so() {
    let work = |(): ()| -> Result<Vec<String>> {
        state::delete("a/1")?;
        state::set("a/2", &2)?;
        step("inside", || {
            state::set("a/3", &3)?;
            assert!(state::compare_and_set("a/2", Some(&2), &20)?);
            assert!(!state::compare_and_set("a/2", Some(&2), &200)?);
            let keys: Result<Vec<_>> = state::scan("a/").map(|entry| Ok(entry?.key)).collect();
            keys
        })
    };
    let ran = Harness::new().state("a/1", 1).state("b", 0).crash_everywhere(work, ());
    assert_eq!(ran.succeeded(), &["a/2", "a/3"]);
    assert_eq!((ran.state("a/2"), ran.state::<u8>("a/1"), ran.state("b")), (Some(20), None, Some(0)));
}

#[test]
fn a_scan_goes_from_page_to_page() {
    let work = |(): ()| -> Result<usize> {
        for n in 0..250 {
            state::set(&format!("n/{n:03}"), &n)?;
        }
        Ok(state::scan("n/").collect::<Result<Vec<_>>>()?.len())
    };
    assert_eq!(*Harness::new().run(work, ()).succeeded(), 250);
}

#[test]
fn a_failed_run_keeps_only_what_took_hold_before() {
    let work = |(): ()| -> Result<()> {
        state::set("before", &1)?;
        sleep(Duration::from_secs(1))?;
        state::set("after", &1)?;
        bail!("broken", "it broke")
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!((ran.state("before"), ran.state::<u8>("after")), (Some(1), None));
}

#[test]
fn effects_in_a_step_wait_for_the_end_of_the_outermost() {
    let work = |(): ()| -> Result<()> {
        let given_up = step("outer", || -> Result<()> {
            step("inner", || state::set("inner", &1))?;
            http::post("https://a.example.com/").send()?.ok()?;
            bail!("broken", "after the request")
        });
        assert!(given_up.is_err());
        Ok(())
    };
    let harness = Harness::new().http("POST", "https://a.example.com/", |_| 200);
    assert!(harness.crash_everywhere(work, ()).state_of("test").is_empty());
}

#[test]
fn a_request_after_a_claim_in_the_same_step_is_refused() {
    let work = |(): ()| -> Result<()> {
        step("claim and charge", || -> Result<()> {
            state::compare_and_set("claimed", None, &true)?;
            http::get("https://a.example.com/").send()?.ok()?;
            http::post("https://a.example.com/").send()?.ok().map(drop)
        })
    };
    let harness = Harness::new().http("*", "https://a.example.com/", |_| 200);
    assert_eq!(harness.run(work, ()).failed().code(), "host/claim-in-step");
}

#[test]
fn an_entry_posts_once_and_nothing_is_reserved() {
    let work = |(): ()| -> Result<(bool, String, Vec<Money>)> {
        let at = clock::now();
        let sale = || ledger::entry("ch_1", ledger::Kind::Sale, Money::minor(1_000, "EUR"), at);
        sale().customer("cus_1").post()?;
        let again = sale().customer("cus_1").post()?;
        let conflict = sale().customer("cus_2").post().unwrap_err();
        let refused = [sale().reserve(), ledger::settle("x", None), ledger::void("x")].map(Result::unwrap_err);
        assert!(refused.iter().all(|failure| failure.code() == "host/not-available"));
        ledger::entry("fee_1", ledger::Kind::Fee, Money::minor(30, "EUR"), at).post()?;
        sleep(Duration::from_secs(1))?;
        let period = crate::Period { start: at, end: at + Duration::from_secs(1) };
        Ok((again.duplicate, conflict.code().to_owned(), ledger::revenue(period)?))
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!(*ran.succeeded(), (true, "host/external-id-conflict".to_owned(), vec![Money::minor(1_000 - 30, "EUR")]));
    let posted: Vec<_> = ran.ledger().map(|entry| (entry.external_id.as_str(), entry.customer.as_deref())).collect();
    assert_eq!(posted, [("ch_1", Some("cus_1")), ("fee_1", None)]);
}

#[test]
fn a_request_is_tried_again_by_its_own_policy_and_the_world_answers_by_turn() {
    let work = |(): ()| -> Result<String> {
        let request = http::get("https://a.example.com/rate").retry(Retry::times(2).every(Duration::from_secs(10)));
        Ok(request.send()?.ok()?.text()?.to_owned())
    };
    let harness = Harness::new().http("GET", "https://a.example.com/*", |sent| match sent.nth {
        1 => Answer::lost(),
        2 => Answer::status(503),
        _ => Answer::text("fine"),
    });
    let ran = harness.run(work, ());
    assert_eq!((ran.succeeded().as_str(), ran.requests().len(), ran.elapsed().as_secs()), ("fine", 3, 20));
    assert!(ran.effects().is_empty());
}

#[test]
fn requests_at_once_are_answered_in_their_order() {
    let work = |(): ()| -> Result<Vec<u16>> {
        let requests = (0..3).map(|n| http::put(format!("https://a.example.com/{n}")));
        http::send_all(requests).into_iter().map(|answer| Ok(answer?.status)).collect()
    };
    let harness = Harness::new().http("PUT", "https://a.example.com/1", |_| 404).http("PUT", "*", |_| 204);
    let ran = harness.crash_everywhere(work, ());
    assert_eq!((ran.succeeded().as_slice(), ran.effects().len()), ([204, 404, 204].as_slice(), 3));
}

#[test]
fn a_module_sees_its_config_trigger_clock_and_leaves_lines_and_events() {
    let work = |(): ()| -> Result<Timestamp> {
        let config: std::collections::BTreeMap<String, String> = context::config()?;
        info!("hello {}", config["name"]; kind = context::triggered_by().kind);
        events::publish("greeted", &config)?;
        Ok(clock::now())
    };
    let at = Timestamp::from_millis(7);
    let ran = Harness::new().config(json!({ "name": "Ada" })).begins_at(at).run(work, ());
    assert_eq!((*ran.succeeded(), ran.lines()[0].message.as_str()), (at, "hello Ada"));
    assert_eq!(ran.lines()[0].fields, [("kind".to_owned(), "manual".to_owned())]);
    assert_eq!(ran.events()[0].payload, json!({ "name": "Ada" }));
}

#[test]
fn an_event_is_known_to_its_run_and_a_failed_run_publishes_nothing() {
    let work = |order: u64| -> Result<Option<String>> {
        events::publish("mail.wanted", &order)?;
        let event = events::event();
        match order {
            7 => Ok(event.map(|event| format!("{} {} {}", event.topic, event.subscription, event.at.as_millis()))),
            _ => Err(Error::new("no", "another order")),
        }
    };
    let harness = Harness::new().begins_at(Timestamp::from_millis(5)).event("orders.created");
    let ran = harness.crash_everywhere(work, 7);
    assert_eq!(ran.succeeded().as_deref(), Some("orders.created subscription 5"));
    assert_eq!((ran.events().len(), ran.events()[0].topic.as_str()), (1, "mail.wanted"));
    assert!(harness.run(work, 8).events().is_empty());
    assert_eq!(*Harness::new().run(work, 7).succeeded(), None, "no event started the run");
}

#[test]
fn what_is_no_topic_is_refused_as_on_a_host() {
    for topic in ["", "Orders", "orders.*", "a..b", "a/b"] {
        let ran = Harness::new().run(|(): ()| events::publish(topic, &1), ());
        assert_eq!(ran.failed().code(), "host/bad-argument", "{topic}");
    }
}

#[test]
fn an_input_that_does_not_fit_fails_as_on_a_host() {
    let ran = Harness::new().run(|name: String| Ok::<_, Error>(name), 7);
    assert_eq!(ran.failed().code(), "bad-input");
}

#[test]
#[should_panic(expected = "no route answers GET https://nowhere.example.com/")]
fn a_request_without_an_answer_fails_the_test() {
    Harness::new().run(|(): ()| http::get("https://nowhere.example.com/").send().map(|answer| answer.status), ());
}
