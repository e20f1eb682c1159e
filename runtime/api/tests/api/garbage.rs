//! Every request gets an answer, whatever it contains: no 5xx, no panic, and every refusal is a
//! problem.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidemill_core::wire::PageCursor;

use super::world::World;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("hello".to_owned()),
        Just("1.0.0".to_owned()),
        Just("0".repeat(26)),
        Just(format!("sha256:{}", "0".repeat(64))),
        "[a-z0-9-]{1,8}",
        "(%[0-9A-F]{2}|[!-~&&[^#?/%]]){0,12}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let route = prop::sample::select(tidemill_api::ROUTES).prop_map(|(path, _)| path);
    (route, prop::collection::vec(word(), 3), prop::collection::vec((name(), word()), 0..4)).prop_map(
        |(route, words, query)| {
            let mut words = words.into_iter();
            let mut parts: Vec<_> = Vec::new();
            for part in route.split('/') {
                parts.push(if part.starts_with('{') { words.next().unwrap_or_default() } else { part.to_owned() });
            }
            let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}?{}", parts.join("/"), query.join("&"))
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "limit",
        "cursor",
        "state",
        "label",
        "since",
        "until",
        "deployment",
        "stream",
        "start",
        "end",
        "from",
        "export",
        "delay",
        "priority",
        "dry_run",
        "runs",
        "after",
        "parent",
        "terminate",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => word()]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let known = [
        "prefer",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "content-type",
        "accept",
        "origin",
        "host",
        "authorization",
        "content-length",
        "expect",
    ];
    let value = prop_oneof![
        "(wait=|\"|W/|\\*|application/json|application/wasm|[0-9]{1,20}|[ -~]){0,6}".prop_map(String::into_bytes),
        prop::collection::vec(0x20u8..=0xff, 0..30),
    ];
    prop::collection::vec((prop::sample::select(known.to_vec()), value), 0..3)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"{}".to_vec()),
        prop::collection::vec(any::<u8>(), 0..100),
        "\\{(\"(note|module|name|limits|config|schedules|retry|from|component|dry_run|action|filter|x)\":(\"hello@1.0.0\"|\"\\PC{0,5}\"|[0-9]{1,25}|\\{\\}|\\[\\{\\}\\]),?){0,4}\\}?"
            .prop_map(String::into_bytes),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn requests_of_any_content_cause_no_server_error() {
    let runtime = runtime();
    let world = runtime.block_on(World::with_hello());
    let methods = prop::sample::select(&[Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH][..]);
    let requests = (methods, path(), headers(), body());
    let mut runner = TestRunner::new(Config { cases: 1_500, failure_persistence: None, ..Config::default() });
    let result = runner.run(&requests, |(method, path, headers, body)| {
        // A feed has no end.
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        if uri.path() == "/v1/events" {
            return Ok(());
        }
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        let answered = runtime
            .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(30), world.send(request)).await });
        let Ok(answered) = answered else { return Err(TestCaseError::fail("no answer")) };
        let text = String::from_utf8_lossy(&answered.bytes).into_owned();
        prop_assert!(!answered.status.is_server_error(), "{} {}", answered.status, text);
        if answered.status.is_client_error() {
            prop_assert_eq!(answered.header("content-type"), "application/problem+json");
            prop_assert!(answered.json()["fix"].is_string());
        }
        Ok(())
    });
    result.unwrap_or_else(|why| panic!("{why}"));
}

/// A cursor is opaque but not secret: a reader of the source can construct one for any position.
#[test]
fn a_forged_cursor_reaches_nothing_and_breaks_nothing() {
    let runtime = runtime();
    let world = runtime.block_on(World::with_hello());
    let run = runtime.block_on(async { world.run(serde_json::json!({})).await.is(200).json() });
    let run = run["id"].as_str().unwrap();
    let lists = [
        ("/v1/modules?".to_owned(), "modules".to_owned()),
        ("/v1/deployments?".to_owned(), "deployments".to_owned()),
        ("/v1/deployments/hello/revisions?".to_owned(), "revisions hello".to_owned()),
        ("/v1/schedules?".to_owned(), "schedules None".to_owned()),
        ("/v1/ledger/entries?".to_owned(), "entries None".to_owned()),
        ("/v1/runs?".to_owned(), format!("runs {:?}", tidemill_store::records::RunFilter::default())),
        (format!("/v1/runs?parent={run}&"), format!("children {run}")),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let place = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(&[0u8, 1, 0x7f, 0x80, 0xfe, 0xff][..]), 0..20)
    ];
    // The cursors carry the lists' names, as the API gives them, so that the lists accept them.
    for (path, list) in &lists {
        let cursor = PageCursor::new(vec![0xff]).encode(list);
        runtime.block_on(async { world.get(&format!("{path}cursor={cursor}")).await.is(200) });
    }
    let result = runner.run(&(prop::sample::select(lists.to_vec()), place), |((path, list), place)| {
        let cursor = PageCursor::new(place).encode(&list);
        let answered = runtime.block_on(world.get(&format!("{path}cursor={cursor}")));
        prop_assert!(matches!(answered.status.as_u16(), 200 | 400), "{path}: {}", answered.status);
        Ok(())
    });
    result.unwrap_or_else(|why| panic!("{why}"));
}
