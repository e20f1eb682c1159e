//! Drawing from a customer's credit: the rules of a host.

use std::time::Duration;

use crate::ledger::{Draw, Kind};
use crate::testing::Harness;
use crate::{Money, Result, clock, ledger, sleep};

fn euro(minor_units: i64) -> Money {
    Money::minor(minor_units, "EUR")
}

fn grant(id: &str, kind: Kind, minor_units: i64, terms: serde_json::Value) -> Result<()> {
    let entry = ledger::entry(id, kind, euro(minor_units), clock::now()).customer("c");
    entry.metadata(&serde_json::json!({ "grant": terms })).post().map(drop)
}

fn draw(id: &str, minor_units: i64) -> Result<Draw> {
    ledger::draw(id, "c", euro(minor_units), clock::now()).take()
}

fn available() -> Result<i64> {
    Ok(ledger::balance("c", "EUR")?.available.minor_units)
}

#[test]
fn credit_is_used_in_order_and_no_draw_goes_below_the_floor() {
    let work = |(): ()| -> Result<Vec<i64>> {
        let end = clock::now() + Duration::from_secs(10);
        grant("P", Kind::Promotion, 500, serde_json::json!({ "expires_at": end.as_millis() }))?;
        grant("A", Kind::Prepayment, 1_000, serde_json::json!({}))?;
        grant("B", Kind::Prepayment, 300, serde_json::json!({ "priority": 50 }))?;
        let mut seen = vec![available()?];
        draw("d1", 600)?;
        seen.push(available()?);
        sleep(Duration::from_secs(10))?;
        seen.push(available()?);
        let hold = ledger::hold("r1", Kind::Drawdown, euro(400), clock::now()).customer("c").place()?;
        let refused = draw("d2", 700).unwrap_err();
        assert_eq!(refused.code(), "host/insufficient-balance");
        let less = ledger::draw("d2", "c", euro(700), clock::now()).up_to().take()?;
        seen.push(less.amount.minor_units);
        let again = ledger::draw("d2", "c", euro(700), clock::now()).up_to().take()?;
        assert!(again.posting.is_some_and(|posting| posting.duplicate) && again.amount == less.amount);
        let nothing = ledger::draw("d3", "c", euro(1), clock::now()).up_to().take()?;
        assert_eq!((nothing.posting, nothing.amount), (None, euro(0)));
        hold.settle(&euro(250))?;
        seen.push(available()?);
        ledger::entry("d4", Kind::Drawdown, euro(200), clock::now()).customer("c").post()?;
        seen.push(available()?);
        grant("C", Kind::Prepayment, 100, serde_json::json!({}))?;
        seen.push(available()?);
        Ok(seen)
    };
    let ran = Harness::new().crash_everywhere(work, ());
    assert_eq!(*ran.succeeded(), [1_800, 1_200, 1_000, 600, 150, -50, 50]);
}

#[test]
fn a_manifest_has_the_floors() {
    let floors =
        "[grants]\nledger = true\n[ledger.floor]\ncustomer = { EUR = \"-0.50\" }\nreceivable = { EUR = \"0\" }";
    let work = |(): ()| -> Result<(i64, String, String)> {
        draw("d", 50)?;
        let below = draw("e", 1).unwrap_err();
        let payout = ledger::entry("p", Kind::Payout, euro(1), clock::now()).reserve().unwrap_err();
        let floor = ledger::balance("c", "EUR")?.floor.map_or(0, |floor| floor.minor_units);
        Ok((floor, below.code().to_owned(), payout.code().to_owned()))
    };
    let short = "host/insufficient-balance".to_owned();
    assert_eq!(*Harness::new().manifest(floors).run(work, ()).succeeded(), (-50, short.clone(), short));
}

#[test]
fn a_request_after_a_draw_in_the_same_step_is_refused() {
    let work = |(): ()| -> Result<()> {
        grant("A", Kind::Prepayment, 10, serde_json::json!({}))?;
        crate::step("draw and charge", || -> Result<()> {
            draw("d", 1)?;
            crate::http::post("https://a.example.com/").send()?.ok().map(drop)
        })
    };
    let harness = Harness::new().http("*", "https://a.example.com/", |_| 200);
    assert_eq!(harness.run(work, ()).failed().code(), "host/claim-in-step");
}
