//! Reports, exports, closed periods and rates of `/v1/ledger` and `/v1/rates`.

use serde_json::{Value, json};
use tidemill_core::Timestamp;
use tidemill_core::money::{ContentHash, EntryCall, EntryKind};
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};

use crate::world::World;

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// An entry of `shop` in `currency`.
pub(crate) fn entry(id: &str, kind: EntryKind, cents: i64, currency: &str, time: &str) -> NewEntry {
    let legs = kind.legs(cents).unwrap();
    let net: i64 = legs.iter().filter(|leg| leg.account.is_revenue()).map(|leg| -leg.minor_units).sum();
    NewEntry {
        id: String::new(),
        stream: "shop".parse().unwrap(),
        run: None,
        call: EntryCall::Post,
        external_id: id.to_owned(),
        kind: kind.as_str().to_owned(),
        minor_units: cents,
        currency: currency.to_owned(),
        exponent: Some(2),
        net_revenue: net,
        occurred_at: at(time),
        customer: Some(format!("customer of {}", &id[..1])),
        description: "=1+1".to_owned(),
        metadata: "{}".to_owned(),
        legs: legs.map(LedgerLeg::from).to_vec(),
        of: None,
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: ContentHash::default(),
    }
}

/// A host whose ledger has entries of two months of 2020.
pub(super) async fn filled() -> World {
    let world = World::new().await;
    let entries = vec![
        entry("a-1", EntryKind::Sale, 10_000, "EUR", "2020-09-15T12:00:00Z"),
        entry("a-2", EntryKind::Sale, 10_000, "EUR", "2020-10-15T12:00:00Z"),
        NewEntry { of: Some("a-2".into()), ..entry("b-1", EntryKind::Refund, 2_500, "EUR", "2020-10-16T12:00:00Z") },
        entry("c-1", EntryKind::Sale, 1_000, "USD", "2020-10-31T23:30:00Z"),
        entry("d-1", EntryKind::Payout, 5_000, "EUR", "2020-10-20T12:00:00Z"),
        NewEntry {
            stream: "trial".parse().unwrap(),
            paper: true,
            ..entry("p-1", EntryKind::Sale, 1, "EUR", "2020-10-15T12:00:00Z")
        },
    ];
    world.host.store().append_entries(entries, at("2020-11-02T00:00:00Z")).await.unwrap();
    world
}

fn revenue(json: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    json.as_array().unwrap().iter().map(|total| (text(&total["currency"]), text(&total["amount"]))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn revenue_is_summed_by_period_stream_and_kind() {
    let world = filled().await;
    let all = world.get("/v1/ledger/revenue").await.is(200).json();
    assert_eq!(revenue(&all["totals"]), pairs(&[("EUR", "175.00"), ("USD", "10.00")]));
    assert_eq!((&all["sequence"], &all["paper"]), (&json!(6), &json!(false)));
    let month = world.get("/v1/ledger/revenue?stream=shop&period=2020-10&group=kind").await.is(200).json();
    let kinds: Vec<_> = month["totals"].as_array().unwrap().iter().map(|total| total["kind"].clone()).collect();
    assert_eq!(kinds, [json!("payout"), json!("refund"), json!("sale"), json!("sale")]);
    // In Berlin the sale in dollars is of November.
    let berlin = "/v1/ledger/revenue?period=2020&per=month&time_zone=Europe/Berlin";
    let months = world.get(berlin).await.is(200).json()["periods"].clone();
    let months = months.as_array().unwrap();
    assert_eq!((months.len(), &months[9]["period"]), (12, &json!("2020-10")));
    assert_eq!(revenue(&months[9]["totals"]), pairs(&[("EUR", "75.00")]));
    assert_eq!(revenue(&months[10]["totals"]), pairs(&[("USD", "10.00")]));
    let early = world.get("/v1/ledger/revenue?as_of=1").await.is(200).json();
    assert_eq!(revenue(&early["totals"]), pairs(&[("EUR", "100.00")]));
    let none = world.get("/v1/ledger/revenue?as_of=2020-11-01T23:59:59Z").await.is(200).json();
    assert_eq!(none["totals"], json!([]));
    let paper = world.get("/v1/ledger/revenue?paper=true&group=stream").await.is(200).json();
    assert_eq!((&paper["totals"][0]["stream"], &paper["totals"][0]["amount"]), (&json!("trial"), &json!("0.01")));
    for bad in [
        "period=2020-13",
        "period=2020&start=2020-01-01T00:00:00Z",
        "per=minute",
        "group=run",
        "by=me",
        "as_of=x",
        "time_zone=Mars",
        "per=hour",
        "currency=XXX",
        "stream=A",
    ] {
        world.get(&format!("/v1/ledger/revenue?{bad}")).await.refused(400, "host/bad-query");
    }
    world.get("/v1/ledger/revenue?stream=nothing").await.refused(404, "host/deployment-not-found");
}

#[tokio::test]
async fn a_statement_has_balances_and_movements() {
    let world = filled().await;
    let statement = world.get("/v1/ledger/statement?stream=shop&period=2020-10").await.is(200).json();
    assert_eq!((&statement["closed"], &statement["range"]["period"]), (&json!(false), &json!("2020-10")));
    let euro = &statement["currencies"][0];
    let accounts: Vec<_> = euro["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| json!([line["account"], line["type"], line["opening"]["amount"], line["closing"]["amount"]]))
        .collect();
    assert_eq!(
        accounts,
        [
            json!(["receivable", "asset", "100.00", "125.00"]),
            json!(["bank", "asset", "0.00", "50.00"]),
            json!(["sales", "income", "100.00", "200.00"]),
            json!(["refunds", "expense", "0.00", "25.00"]),
        ]
    );
    let movements: Vec<_> = euro["movements"].as_array().unwrap().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(movements, [json!("payout"), json!("refund"), json!("sale")]);
    assert_eq!(euro["net_revenue"], json!({"minor_units": 7500, "amount": "75.00", "currency": "EUR", "exponent": 2}));
}

#[tokio::test]
async fn growth_and_customers_have_ratios_of_four_decimals() {
    let world = filled().await;
    let growth = world.get("/v1/ledger/growth?period=2020-10").await.is(200).json();
    assert_eq!((&growth["now"]["period"], &growth["before"]["period"]), (&json!("2020-10"), &json!("2020-09")));
    let lines: Vec<_> = growth["lines"].as_array().unwrap().iter().map(|line| line["growth"].clone()).collect();
    assert_eq!(lines, [json!("-0.2500"), Value::Null]);
    let customers = world.get("/v1/ledger/customers?period=2020&top=1").await.is(200).json();
    let euro = &customers["currencies"][0];
    assert_eq!((&euro["customers"], &euro["average"]), (&json!(2), &json!("87.5000")));
    assert_eq!(
        (&euro["top"][0]["customer"], &euro["top"][0]["net_revenue"]["amount"]),
        (&json!("customer of a"), &json!("200.00"))
    );
    assert_eq!(euro["top"].as_array().unwrap().len(), 1);
    // All was posted in November.
    let posted = world.get("/v1/ledger/customers?period=2020-11&by=posted").await.is(200).json();
    assert_eq!((&posted["by"], &posted["currencies"][0]["customers"]), (&json!("posted"), &json!(2)));
    let earlier = world.get("/v1/ledger/customers?period=2020-10&by=posted").await.is(200).json();
    assert_eq!(earlier["currencies"], json!([]));
    world.get("/v1/ledger/customers?top=0").await.refused(400, "host/bad-query");
    world.get("/v1/ledger/growth").await.is(200);
}

#[tokio::test]
async fn a_closed_period_gets_no_entries() {
    let world = filled().await;
    world.post("/v1/ledger/periods/2999-01/close", json!({})).await.refused(409, "host/period-conflict");
    world.post("/v1/ledger/periods/2020-1/close", json!({})).await.refused(400, "host/bad-name");
    let closed = world.post("/v1/ledger/periods/2020-10/close?time_zone=Europe/Berlin", json!({})).await.is(200).json();
    assert_eq!((&closed["sequence"], &closed["end"]), (&json!(6), &json!("2020-10-31T23:00:00.000Z")));
    let again = world.post("/v1/ledger/periods/2020-10/close?time_zone=Europe/Berlin", json!({})).await.is(200).json();
    assert_eq!(again, closed);
    world.post("/v1/ledger/periods/2020-09/close", json!({})).await.refused(409, "host/period-conflict");
    assert_eq!(world.get("/v1/ledger/periods").await.is(200).json()["items"], json!([closed]));
    let path = "/v1/ledger/statement?period=2020-10&time_zone=Europe/Berlin";
    let before = world.get(path).await.is(200).json();
    assert_eq!(before["closed"], json!(true));
    let late = entry("e-1", EntryKind::Sale, 700, "EUR", "2020-10-02T00:00:00Z");
    world.host.store().append_entries(vec![late], at("2020-11-03T00:00:00Z")).await.unwrap();
    let after = world.get(path).await.is(200).json();
    assert_eq!(after["currencies"], before["currencies"]);
    let open = world.get("/v1/ledger/statement?period=2020-11&time_zone=Europe/Berlin").await.is(200).json();
    assert_eq!(open["currencies"][0]["late"][0]["posted"]["amount"], json!("7.00"));
}

#[tokio::test]
async fn a_report_in_one_currency_takes_the_rate_of_each_day() {
    let world = filled().await;
    let rate = |day: &str, rate: &str| json!({"day": day, "from": "USD", "to": "EUR", "rate": rate, "source": "bank"});
    let path = "/v1/ledger/revenue?period=2020-10&per=month&currency=EUR";
    let without = world.get(path).await.is(200).json();
    assert_eq!(without["converted"]["net_revenue"]["amount"], json!("75.00"));
    assert_eq!(revenue(&without["converted"]["unconverted"]), pairs(&[("USD", "10.00")]));
    let set = world.put("/v1/rates", json!({"rates": [rate("2020-10-31", "0.8555"), rate("2020-11-01", "9")]})).await;
    assert_eq!(set.is(200).json()["items"].as_array().unwrap().len(), 2);
    let with = world.get(path).await.is(200).json();
    // 10.00 × 0.8555 is 8.555, which is rounded to the even cent.
    assert_eq!(
        with["converted"],
        json!({"net_revenue": {"minor_units": 8356, "amount": "83.56", "currency": "EUR", "exponent": 2}, "unconverted": []})
    );
    assert_eq!(with["periods"][0]["converted"], with["converted"]);
    let days = world.get("/v1/ledger/statement?period=2020-10-31&currency=EUR").await.is(200).json();
    assert_eq!(days["converted"]["net_revenue"]["amount"], json!("8.56"));
    let list = world.get("/v1/rates?to=EUR").await.is(200).json();
    assert_eq!((&list["items"][0]["day"], &list["items"][1]["rate"]), (&json!("2020-11-01"), &json!("0.8555")));
    world.put("/v1/rates", json!({"rates": [rate("2020-10-31", "-1")]})).await.refused(422, "host/bad-field");
}

#[tokio::test]
async fn a_correction_reverses_an_entry_and_posts_the_right_one() {
    let world = filled().await;
    let body = json!({"reason": "typo", "actor": "ann", "entry": {"amount": "90.50"}});
    let corrected = world.post("/v1/ledger/entries/2/correct", body.clone()).await.is(200).json();
    let [reversal, right] = corrected["entries"].as_array().unwrap().as_slice() else { panic!("{corrected}") };
    assert_eq!(
        (&reversal["kind"], &reversal["amount"], &reversal["of"]),
        (&json!("sale-reversal"), &json!("100.00"), &json!("a-2"))
    );
    assert_eq!(
        (&right["kind"], &right["amount"], &right["occurred_at"]),
        (&json!("sale"), &json!("90.50"), &json!("2020-10-15T12:00:00.000Z"))
    );
    assert_eq!(
        (&right["evidence"]["actor"], &right["evidence"]["reason"], &right["call"]),
        (&json!("ann"), &json!("typo"), &json!("correct"))
    );
    let again = world.post("/v1/ledger/entries/2/correct", body).await.is(200).json();
    assert_eq!((&again["duplicate"], &again["entries"]), (&json!(true), &corrected["entries"]));
    let other = json!({"reason": "typo", "entry": {"amount": "90.51"}});
    world.post("/v1/ledger/entries/2/correct", other).await.refused(409, "host/external-id-conflict");
    world.post("/v1/ledger/entries/2/correct", json!({})).await.refused(422, "host/bad-field");
    for entry in [
        json!({"amount": "1.234"}),
        json!({"amount": "-1"}),
        json!({"kind": "sail"}),
        json!({"currency": "USD"}),
        json!({"currency": "usd", "amount": "1"}),
    ] {
        let body = json!({"reason": "x", "entry": entry});
        world.post("/v1/ledger/entries/3/correct", body).await.refused(422, "host/bad-field");
    }
    // What a module may not post under the ids of corrections, a person may; a link stays.
    let out = NewEntry {
        metadata: r#"{"conversion":"fx","n":12345678901234567890123}"#.to_owned(),
        ..entry("x-1", EntryKind::ConversionOut, 700, "EUR", "2020-10-15T12:00:00Z")
    };
    world.host.store().append_entries(vec![out], at("2020-11-04T00:00:00Z")).await.unwrap();
    let body = json!({"reason": "typo", "entry": {"amount": "8"}});
    let corrected = world.post("/v1/ledger/entries/9/correct", body).await.is(200);
    let text = String::from_utf8(corrected.bytes.to_vec()).unwrap();
    let corrected = corrected.json();
    assert_eq!(corrected["entries"][0]["kind"], json!("conversion-in"));
    assert_eq!(corrected["entries"][0]["metadata"], json!({"conversion": "fx", "corrects": 9, "of": "x-1"}));
    assert!(text.contains(r#""n":12345678901234567890123"#), "{text}");
    // A reversal is undone by its kind.
    let undone = world.post("/v1/ledger/entries/7/correct", json!({"reason": "it was right"})).await.is(200).json();
    assert_eq!(undone["entries"][0]["kind"], json!("sale"));
    let check = world.post("/v1/ledger/check", json!({})).await.is(200).json();
    assert_eq!(check["problems"], json!([]));
}

#[tokio::test]
async fn an_export_of_the_same_cut_has_the_same_bytes() {
    let world = filled().await;
    for format in ["jsonl", "csv", "beancount"] {
        let path = format!("/v1/ledger/export?format={format}&until=5");
        let first = world.get(&path).await.is(200);
        assert_eq!(first.header("ledger-sequence"), "5");
        let late = entry(&format!("z-{format}"), EntryKind::Sale, 1, "EUR", "2020-10-02T00:00:00Z");
        world.host.store().append_entries(vec![late], at("2020-11-03T00:00:00Z")).await.unwrap();
        assert_eq!(world.get(&path).await.is(200).bytes, first.bytes, "{format}");
    }
    let lines = world.get("/v1/ledger/export").await.is(200);
    let text = String::from_utf8(lines.bytes.to_vec()).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((entries.len(), lines.header("ledger-sequence")), (8, "9"), "the entry on paper is left out");
    let shown = world.get("/v1/ledger/entries/3").await.is(200).json();
    assert_eq!(shown["entry"], entries[2]);
    assert_eq!(shown["answered"]["external_id"], json!("a-2"));
    let sale = world.get("/v1/ledger/entries/entry-2").await.is(200).json();
    assert_eq!(sale["answers"][0]["external_id"], json!("b-1"));
    assert_eq!(sale["entry"]["evidence"], json!({"asserted": true}));
    world.get("/v1/ledger/entries/99").await.refused(404, "host/entry-not-found");
    let csv = String::from_utf8(world.get("/v1/ledger/export?format=csv").await.is(200).bytes.to_vec()).unwrap();
    assert!(csv.starts_with("sequence,id,") && csv.contains(",'=1+1,"), "{csv}");
    let books =
        String::from_utf8(world.get("/v1/ledger/export?format=beancount").await.is(200).bytes.to_vec()).unwrap();
    assert!(books.contains("balance Assets:Shop:Receivable  125.03 EUR\n"), "{books}");
    world.get("/v1/ledger/export?format=xml").await.refused(400, "host/bad-query");
}
