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
fn an_entry_posts_once_and_remarks_are_no_content() {
    let work = |(): ()| -> Result<(bool, String, Vec<Money>)> {
        let at = clock::now();
        let sale = |amount| ledger::entry("ch_1", ledger::Kind::Sale, Money::minor(amount, "EUR"), at);
        sale(1_000).customer("cus_1").post()?;
        let again = sale(1_000).customer("cus_2").description("the same sale").post()?;
        let conflict = sale(999).customer("cus_1").post().unwrap_err();
        ledger::entry("fee_1", ledger::Kind::Fee, Money::minor(30, "EUR"), at).of("ch_1").post()?;
        sleep(Duration::from_secs(1))?;
        let period = crate::Period { start: at, end: at + Duration::from_secs(1) };
        Ok((again.duplicate, conflict.code().to_owned(), ledger::revenue(period)?))
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!(*ran.succeeded(), (true, "host/external-id-conflict".to_owned(), vec![Money::minor(1_000 - 30, "EUR")]));
    let posted: Vec<_> = ran.ledger().map(|entry| (entry.external_id.as_str(), entry.customer.as_deref())).collect();
    assert_eq!(posted, [("ch_1", Some("cus_1")), ("fee_1", None)]);
    assert_eq!(ran.ledger().last().unwrap().metadata, serde_json::json!({ "of": "ch_1" }));
}

fn euro(minor_units: i64) -> Money {
    Money::minor(minor_units, "EUR")
}

/// The external ids, calls and amounts of the ledger.
fn entries<T>(ran: &crate::testing::RunResult<T>) -> Vec<(&str, &str, i64)> {
    ran.ledger().map(|entry| (entry.external_id.as_str(), entry.call, entry.amount.minor_units)).collect()
}

#[test]
fn a_hold_is_settled_once_and_posts_what_it_does_not_cover() {
    let work = |cost: i64| -> Result<Vec<Money>> {
        let at = clock::now();
        let hold = ledger::hold("job", ledger::Kind::Usage, euro(500), at).customer("cus_1").place()?;
        sleep(Duration::from_secs(60))?;
        hold.settle(&euro(cost))?;
        let again = hold.settle(&euro(cost))?;
        assert!(again.end.is_none_or(|end| end.duplicate) && again.excess.is_none_or(|excess| excess.duplicate));
        sleep(Duration::from_secs(1))?;
        ledger::revenue(crate::Period { start: at, end: clock::now() })
    };
    for (cost, expected) in [
        (420, vec![("job", "reserve", 500), ("job/settled", "settle", 420)]),
        (500, vec![("job", "reserve", 500), ("job/settled", "settle", 500)]),
        (650, vec![("job", "reserve", 500), ("job#2", "post", 150), ("job/settled", "settle", 500)]),
        (0, vec![("job", "reserve", 500), ("job/voided", "void", 500)]),
    ] {
        let ran = Harness::new().crash_everywhere(work, cost);
        let revenue: Vec<i64> = ran.succeeded().iter().map(|money| money.minor_units).collect();
        assert_eq!(revenue, [cost]);
        assert_eq!(entries(&ran), expected, "{cost}");
        assert!(ran.ledger().all(|entry| entry.customer.as_deref() == Some("cus_1")));
    }
}

#[test]
fn an_external_id_of_a_hold_has_room_for_the_suffix_of_its_excess() {
    let work = |length: usize| -> Result<()> {
        let hold = ledger::hold("a".repeat(length), ledger::Kind::Usage, euro(500), clock::now()).place()?;
        hold.settle(&euro(501)).map(drop)
    };
    Harness::new().run(work, 254).succeeded();
    assert_eq!(Harness::new().run(work, 255).failed().code(), "external-id-too-long");
}

#[test]
fn a_hold_that_has_expired_posts_the_whole_cost() {
    let work = |wait: u64| -> Result<()> {
        let hold = ledger::hold("job", ledger::Kind::Usage, euro(500), clock::now()).of("order");
        let hold = hold.expires_in(Duration::from_secs(60)).place()?;
        sleep(Duration::from_millis(wait))?;
        hold.settle(&euro(420)).map(drop)
    };
    let settled = Harness::new().run(work, 59_000);
    assert_eq!(entries(&settled), [("job", "reserve", 500), ("job/settled", "settle", 420)]);
    let expired = Harness::new().crash_everywhere(work, 60_000);
    assert_eq!(entries(&expired), [("job", "reserve", 500), ("job#2", "post", 420)]);
    assert!(expired.ledger().all(|entry| entry.metadata["of"] == "order"));
    let by_default = Harness::new().manifest("[grants]\nledger = true\n[ledger]\nreservations_expire = \"1m\"");
    let work = |wait: u64| -> Result<bool> {
        let hold = ledger::hold("job", ledger::Kind::Usage, euro(500), clock::now()).place()?;
        sleep(Duration::from_millis(wait))?;
        Ok(hold.void()?.end.is_some())
    };
    assert!(by_default.run(work, 59_000).succeeded());
    assert!(!by_default.run(work, 60_000).succeeded());
    assert!(Harness::new().run(work, 60_000).succeeded());
}

#[test]
fn a_request_after_a_reservation_in_the_same_step_is_refused() {
    let work = |(): ()| -> Result<()> {
        step("reserve and charge", || -> Result<()> {
            ledger::entry("job", ledger::Kind::Usage, euro(1), clock::now()).reserve()?;
            http::get("https://a.example.com/").send()?.ok()?;
            http::post("https://a.example.com/").send()?.ok().map(drop)
        })
    };
    let harness = Harness::new().http("*", "https://a.example.com/", |_| 200);
    assert_eq!(harness.run(work, ()).failed().code(), "host/claim-in-step");
}

#[test]
fn both_sides_of_a_conversion_name_it() {
    let work = |(): ()| -> Result<()> {
        let at = clock::now();
        ledger::entry("out", ledger::Kind::ConversionOut, euro(100), at).conversion("fx_1").post()?;
        let dollar = Money::minor(110, "USD");
        ledger::entry("in", ledger::Kind::ConversionIn, dollar, at).conversion("fx_1").post().map(drop)
    };
    let ran = Harness::new().run(work, ());
    assert!(ran.ledger().all(|entry| entry.metadata["conversion"] == "fx_1"));
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
