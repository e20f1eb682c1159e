//! Grants and limits: the harness refuses with the codes of a host, and only if a test sets them.

use crate::durable::{Target, send_signal, start};
use crate::secrets::{Algorithm, sign};
use crate::testing::{Answer, Grants, Harness, Limits};
use crate::{Money, Result, bail, clock, events, http, info, ledger, metrics, state, step};
use std::time::Duration;

const MANIFEST: &str = r#"
[module]
name = "orders"
version = "0.1.0"
component = "orders.wasm"

[config]
base = "https://api.example.com"

[grants]
http = ["https://api.example.com", "https://*.cdn.example.com"]
secrets = [{ name = "key", to = ["https://api.example.com"] }, { name = "hook", use = "sign" }]
deployments = ["shipping"]
topics = ["orders.*"]

[limits]
http_calls = 3
"#;

fn world() -> Harness {
    Harness::new()
        .http("*", "https://*", |_| 200)
        .deployment("shipping", |(): ()| Ok::<_, crate::Error>(1))
        .deployment("billing", |(): ()| -> Result<u16> { Ok(http::get("https://billing.example.com/").send()?.status) })
        .sign(|_, _, message| message.to_vec())
}

fn code<T>(done: Result<T>) -> String {
    done.map_or_else(|error| error.code().to_owned(), |_| String::new())
}

/// Calls each function and lists the results.
fn call_all((): ()) -> Result<Vec<String>> {
    let entry = ledger::entry("ch_1", ledger::Kind::Sale, Money::minor(5, "EUR"), clock::now());
    Ok(vec![
        code(http::get("https://api.example.com/").send()),
        code(http::get("https://a.cdn.example.com/").secret("key").send()),
        code(http::post("https://other.example.com/").send()),
        code(http::get("http://api.example.com/").send()),
        code(sign("hook", Algorithm::HmacSha256, b"x")),
        code(sign("key", Algorithm::HmacSha256, b"x")),
        code(start("shipping", &()).send()),
        code(start("billing", &()).send()),
        code(send_signal(Target::Key { deployment: "billing".into(), key: "k".into() }, "paid", &1)),
        code(events::publish("orders.paid", &1)),
        code(events::publish("refunds.paid", &1)),
        code(entry.post()),
    ])
}

#[test]
fn what_is_not_granted_is_refused_as_a_host_refuses_it() {
    let (no, secret) = ("host/not-granted", "host/secret-not-granted");
    let ran = world().manifest(MANIFEST).crash_everywhere(call_all, ());
    assert_eq!(*ran.succeeded(), ["", secret, no, no, "", secret, "", no, no, "", no, no]);
    assert_eq!((ran.requests().len(), ran.deployment.as_str()), (1, "orders"));
}

#[test]
fn without_a_word_of_grants_everything_is_granted() {
    let ran = world().http("*", "http://*", |_| 200).run(call_all, ());
    assert!(ran.succeeded().iter().all(String::is_empty), "{:?}", ran.succeeded());
}

#[test]
fn grants_are_those_of_the_deployment_under_test_alone() {
    let work = |(): ()| -> Result<u16> { start("billing", &()).spawn::<u16>()?.join() };
    let granted = Grants::none().deployment("billing");
    assert_eq!(*world().grants(granted).run(work, ()).succeeded(), 200);
    let sells = |(): ()| -> Result<()> {
        ledger::entry("ch_1", ledger::Kind::Sale, Money::minor(5, "EUR"), clock::now()).post()?;
        sign("hook", Algorithm::HmacSha256, b"x").map(drop)
    };
    world().grants(Grants::none().ledger().signing_secret("hook")).run(sells, ()).succeeded();
}

#[test]
fn a_refused_request_is_no_matter_of_trying_again() {
    let work =
        |(): ()| -> Result<()> { step("send", || http::post("https://other.example.com/").send()?.ok().map(drop)) };
    let ran = world().manifest(MANIFEST).run(work, ());
    assert_eq!((ran.failed().code(), ran.attempts(), ran.requests().len()), ("host/not-granted", 1, 0));
    assert!(ran.failed().message().contains("http = [\"https://other.example.com\"]"), "{}", ran.failed().message());
}

#[test]
fn requests_are_counted_with_their_tries_and_across_attempts() {
    let work = |(): ()| -> Result<()> {
        let retry = crate::Retry::times(1).every(Duration::from_secs(1));
        http::get("https://api.example.com/busy").retry(retry).send()?;
        http::get("https://api.example.com/").send()?;
        http::get("https://api.example.com/").send()?.ok().map(drop)
    };
    let busy = Harness::new().http("GET", "https://api.example.com/busy", |_| 503);
    let ran = busy.http("GET", "https://api.example.com/", |_| 200).manifest(MANIFEST).run(work, ());
    assert_eq!((ran.failed().code(), ran.requests().len()), ("host/limit-http", 3));
    let again = |(): ()| -> Result<()> {
        http::get("https://api.example.com/").send()?;
        let _ = clock::now();
        Err(crate::Error::retryable("again", "once more"))
    };
    let limits = Limits { http_calls: 2, ..Limits::default() };
    let ran = world().limits(limits).run(again, ());
    assert_eq!((ran.failed().code(), ran.attempts()), ("host/limit-http", 3));
    let bytes = Limits { http_bytes: 1_000, ..Limits::default() };
    let large = Harness::new().http("GET", "https://*", |_| Answer::text("x".repeat(1_001))).limits(bytes);
    let work = |(): ()| -> Result<()> { http::get("https://a.example.com/").send().map(drop) };
    assert_eq!(large.run(work, ()).failed().code(), "host/limit-http");
}

#[test]
fn what_is_too_large_is_refused_by_its_own_code() {
    let sized = |(): ()| -> Result<Vec<String>> {
        let long = |bytes: usize| "x".repeat(bytes);
        Ok(vec![
            code(state::set(&long(512), &1)),
            code(state::set(&long(513), &1)),
            code(state::get::<u8>("")),
            code(state::set("k", &long(1 << 20))),
            code(http::post("https://a.example.com/").body(vec![0; (4 << 20) + 1]).send()),
            code(http::get("https://a.example.com/large").send()),
            code(http::get("ftp://a.example.com/").send()),
            code(http::get("https://a.example.com/").header("Host", "b").send()),
            code(events::publish("Not A Topic", &1)),
            code(events::publish("a", &long(64 << 10))),
            code(step(&long(256), || Ok::<_, crate::Error>(1))),
            code(step("large", || Ok::<_, crate::Error>(long(4 << 20)))),
            code(start("shipping", &()).label("x", long(256)).send()),
        ])
    };
    // The first matching route answers.
    let world = Harness::new()
        .http("GET", "https://a.example.com/large", |_| Answer::text("x".repeat(5 << 20)))
        .http("*", "https://*", |_| 200)
        .deployment("shipping", |(): ()| Ok::<_, crate::Error>(1));
    let (key, value, body) = ("host/limit-state-key", "host/limit-state-value", "host/limit-http-body");
    let (argument, request) = ("host/bad-argument", "host/http-bad-request");
    let expected =
        ["", key, key, value, body, body, request, request, argument, argument, argument, argument, argument];
    assert_eq!(*world.run(sized, ()).succeeded(), expected);
}

#[test]
fn a_transaction_touches_ten_thousand_keys_and_the_next_starts_from_zero() {
    let work = |rests: bool| -> Result<()> {
        for n in 0..10_001 {
            if rests && n == 5_000 {
                crate::sleep(Duration::from_secs(1))?;
            }
            if n % 2 == 0 {
                state::set(&format!("w/{n}"), &n)?
            } else {
                state::get::<u32>(&format!("r/{n}")).map(drop)?
            }
        }
        Ok(())
    };
    assert_eq!(Harness::new().run(work, false).failed().code(), "host/limit-commit");
    Harness::new().run(work, true).succeeded();
}

#[test]
fn what_cannot_be_answered_with_a_failure_stops_the_run() {
    let stops: [fn(); 3] = [
        || metrics::count("Not A Name", 1.0, &[]),
        || drop(crate::host::random::bytes(65_537)),
        || drop(http::send_all((0..257).map(|_| http::get("https://a.example.com/")))),
    ];
    for (stops, expected) in stops.iter().zip(["host/bad-argument", "host/limit-random", "host/bad-argument"]) {
        let work = |(): ()| -> Result<()> {
            stops();
            bail!("went-on", "it went on")
        };
        let ran = world().run(work, ());
        assert_eq!((ran.failed().code(), ran.attempts()), (expected, 1));
    }
}

#[test]
fn an_output_and_a_log_have_their_bounds() {
    let limits = Limits { output: 100, log: 200, ..Limits::default() };
    let work = |len: usize| -> Result<String> {
        for line in 0..10 {
            info!("line {line}");
        }
        state::set("kept", &1)?;
        Ok("x".repeat(len))
    };
    let ran = Harness::new().limits(limits).run(work, 98);
    assert_eq!((ran.succeeded().len(), ran.lines().len()), (98, 5));
    let ran = Harness::new().limits(limits).run(work, 99);
    assert_eq!((ran.failed().code(), ran.state::<u8>("kept")), ("host/limit-output", None));
    let ran = Harness::new().run(
        |(): ()| -> Result<()> {
            info!("{}", "x".repeat(70_000));
            Ok(())
        },
        (),
    );
    assert_eq!(ran.lines()[0].message.len(), 64 << 10);
}

#[test]
fn a_code_of_the_host_is_passed_on_only_where_a_call_answered_it() {
    let forge = |claimed: String| -> Result<()> { bail!(claimed, "it was the host") };
    for claimed in ["host/limit-fuel", "HOST/limit-fuel", "host/none"] {
        assert_eq!(Harness::new().run(forge, claimed.to_owned()).failed().code(), "host/forged-code", "{claimed}");
    }
    assert_eq!(Harness::new().run(forge, "card declined".to_owned()).failed().code(), "card-declined");
    let in_step = |(): ()| -> Result<()> { step("pay", || -> Result<()> { bail!("host/trap", "no") }) };
    assert_eq!(Harness::new().run(in_step, ()).failed().code(), "host/forged-code");
    let passed_on = |(): ()| -> Result<()> { step("pay", || state::set("k", &"x".repeat(2 << 20))) };
    assert_eq!(Harness::new().run(passed_on, ()).failed().code(), "host/limit-state-value");
}

#[test]
fn a_log_line_has_bounds_and_no_fields_of_the_hosts() {
    let work = |(): ()| -> Result<()> {
        let field = |name, value: &str| (name, value.to_owned());
        let fields = [field("code", "host/limit-fuel"), field("tidemill.transaction-retries", "1"), field("to", "x")];
        crate::log::write(crate::log::Level::Info, "paid", &fields);
        crate::log::write(crate::log::Level::Info, "", &vec![field("", ""); 1_000]);
        Ok(())
    };
    let ran = Harness::new().run(work, ());
    let names: Vec<_> = ran.lines()[0].fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["guest.code", "guest.tidemill.transaction-retries", "to"]);
    assert_eq!(ran.lines()[1].fields.len(), 64);
}

#[test]
fn json_is_bounded_in_depth() {
    let work = |levels: usize| -> Result<serde_json::Value> {
        Ok((0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner])))
    };
    assert!(Harness::new().run(work, 64).succeeded().is_array());
    assert_eq!(Harness::new().run(work, 65).failed().code(), "host/output-invalid");
}
