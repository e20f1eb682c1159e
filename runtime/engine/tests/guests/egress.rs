//! Outgoing requests: their targets, their content and their responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::{Value, json};
use tidemill_core::Failure;
use tidemill_core::manifest::{Grants, SecretGrant};
use tidemill_engine::secrets::{SecretSource, SecretValue};
use tidemill_engine::{Cause, EgressPolicy};

use crate::server::{NEVER, Server, answer, ok};
use crate::support::{Job, TestHost};

pub struct FixedSecrets;

impl SecretSource for FixedSecrets {
    fn secret(&self, name: &str) -> Result<Option<SecretValue>, Failure> {
        Ok(match name {
            "api-key" => Some(SecretValue::new(b"s3cret/value".to_vec())),
            "short" => Some(SecretValue::new(b"7 bytes".to_vec())),
            _ => None,
        })
    }

    fn place(&self, name: &str) -> String {
        format!("the place of {name}")
    }
}

/// A host whose operator allows requests to this machine.
pub fn near() -> TestHost {
    TestHost::with(|config| {
        config.egress = EgressPolicy { allow_private: true, ..EgressPolicy::default() };
        config.secrets = Arc::new(FixedSecrets);
    })
}

pub async fn granted<'a>(host: &'a TestHost, origins: &[&str]) -> Job<'a> {
    let http: Vec<_> = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    let secrets = vec![SecretGrant { name: "api-key".to_owned(), to: http.clone(), sign: false, hook: false }];
    host.hostile().await.grant(Grants { http, secrets, ..Grants::default() })
}

pub fn fetch(url: &str) -> Value {
    json!({ "do": "fetch", "url": url })
}

#[tokio::test]
async fn a_response_is_returned_whole() {
    let server = Server::start(|_, _| answer("201 Created", "x-a: b\r\n", "hello")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let got = job.output(fetch(&server.url("/a?b=c"))).await;
    assert_eq!(
        (&got["status"], &got["body"], &got["url"]),
        (&json!(201), &json!("hello"), &json!(server.url("/a?b=c")))
    );
    assert!(got["headers"].to_string().contains("x-a"));
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /a?b=c HTTP/1.1");
    assert!(requests[0].headers["user-agent"].starts_with("tidemill/"));
    assert_eq!(*job.channel.left.lock().unwrap(), 0);
}

#[tokio::test]
async fn an_ungranted_request_is_not_sent_and_shows_the_line_to_add() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let job = host.hostile().await;
    let (failure, cause) = job.failure(fetch(&server.url("/"))).await;
    assert_eq!((failure.code.as_str(), cause), ("host/not-granted", Cause::Guest));
    assert!(failure.message.contains(&format!("http = [\"{}\"]", server.origin())), "{}", failure.message);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_operators_policy_overrides_grants() {
    let server = Server::start(|_, _| ok("")).await;
    let origin = server.origin();
    let host = TestHost::with(|config| {
        config.egress.allow_private = true;
        config.egress.deny = vec![origin.parse().unwrap()];
    });
    let job = granted(&host, &[&origin]).await;
    assert_eq!(job.code(fetch(&server.url("/"))).await, "host/egress-denied");
}

#[tokio::test]
async fn this_machine_cannot_be_reached_in_any_notation() {
    let server = Server::start(|_, _| ok("")).await;
    let host = TestHost::new();
    let port = server.port;
    for address in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let origin = format!("http://{address}:{port}");
        let job = granted(&host, &[&origin]).await;
        assert_eq!(job.code(fetch(&origin)).await, "host/address-refused", "{address}");
    }
    let job = granted(&host, &[&format!("http://127.0.0.1:{port}")]).await;
    for disguise in ["127.1", "0x7f.0.0.1", "2130706433"] {
        assert_eq!(job.code(fetch(&format!("http://{disguise}:{port}/"))).await, "host/address-refused", "{disguise}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_origin_that_the_operator_named_may_be_private() {
    let server = Server::start(|_, _| ok("here")).await;
    let origin = server.origin();
    let host = TestHost::with(|config| config.egress.private = vec![origin.parse().unwrap()]);
    let job = granted(&host, &[&origin]).await;
    assert_eq!(job.output(fetch(&server.url("/"))).await["body"], json!("here"));
}

#[tokio::test]
async fn an_unsafe_request_has_a_key_and_commits_the_run_first() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let mut job = granted(&host, &[&server.origin()]).await;
    let post = json!({ "do": "fetch", "method": "POST", "url": server.url("/"), "body": "x" });
    let twice = json!({ "do": "all", "acts": [post, post] });
    job.output(twice.clone()).await;
    assert_eq!(*job.channel.left.lock().unwrap(), 1);
    job.context.attempt = 2;
    job.output(twice.clone()).await;
    job.context.generation = 2;
    job.output(twice).await;
    let keys: Vec<_> = server.requests().iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert_eq!((&keys[0], &keys[1]), (&keys[2], &keys[3]), "the same in every attempt");
    assert_ne!(keys[0], keys[1], "another for the second of two equal requests");
    assert_ne!(keys[0], keys[4], "another in another generation");
    let own = json!({
        "do": "fetch", "method": "POST", "url": server.url("/"), "headers": [["Idempotency-Key", "mine"]]
    });
    job.output(own).await;
    assert_eq!(server.requests()[6].headers["idempotency-key"], "mine");
}

#[tokio::test]
async fn a_request_is_not_sent_if_the_commit_fails() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    *job.channel.refuse_leaving.lock().unwrap() = Some(Failure::retryable("host/disk-full", "no room"));
    let (failure, cause) = job.failure(json!({ "do": "fetch", "method": "POST", "url": server.url("/") })).await;
    assert_eq!((failure.code.as_str(), cause), ("host/disk-full", Cause::Host));
    assert!(server.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_too_large_or_too_late_fails() {
    let server = Server::start(|request, _| match request.line.as_str() {
        "GET /large HTTP/1.1" => ok(&"x".repeat(5 << 20)),
        "GET /noise HTTP/1.1" => b"what?\r\n\r\n".to_vec(),
        "GET /late HTTP/1.1" => NEVER,
        _ => ok(""),
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin(), "http://127.0.0.1:1"]).await;
    assert_eq!(job.code(fetch(&server.url("/large"))).await, "host/limit-http-body");
    assert_eq!(job.code(fetch(&server.url("/noise"))).await, "host/http-bad-answer");
    let late = json!({ "do": "fetch", "url": server.url("/late"), "timeout_ms": 50 });
    assert_eq!(job.code(late).await, "host/http-timeout");
    assert_eq!(job.code(fetch("http://127.0.0.1:1/")).await, "host/http-connect-failed");
    let few = granted(&host, &[&server.origin()]).await.limit(|limits| limits.http_calls = 1);
    let act = json!({ "do": "all", "acts": [fetch(&server.url("/a")), fetch(&server.url("/b"))] });
    assert_eq!(few.code(act).await, "host/limit-http");
}

#[tokio::test]
async fn concurrent_responses_are_returned_in_order() {
    let server = Server::start(|request, _| ok(&request.line)).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let mut urls: Vec<_> = (0..40).map(|n| server.url(&format!("/{n}"))).collect();
    urls[7] = "http://not-granted.test/".to_owned();
    let answers = job.output(json!({ "do": "fetch-all", "urls": urls })).await;
    for (n, answer) in answers.as_array().unwrap().iter().enumerate() {
        if n == 7 {
            assert_eq!(answer["code"], json!("host/not-granted"));
        } else {
            assert_eq!(answer["body"], json!(format!("GET /{n} HTTP/1.1")));
        }
    }
    let large = Server::start(|_, _| ok(&"x".repeat(3 << 20))).await;
    let job = granted(&host, &[&large.origin()]).await;
    let answers = job.output(json!({ "do": "fetch-all", "urls": vec![large.url("/"); 3] })).await.to_string();
    assert!(answers.contains("host/limit-http-body"));
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let host = near();
    let job = granted(&host, &["http://127.0.0.1:1"]).await;
    for act in [
        json!({ "do": "fetch", "url": "nonsense" }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "method": "CONNECT" }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "method": "G T" }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "headers": [["host", "x"]] }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "headers": [["a b", "x"]] }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "headers": [["a", "x\r\ny: z"]] }),
        json!({ "do": "fetch", "url": "http://127.0.0.1:1/", "timeout_ms": 99_999_999 }),
    ] {
        assert_eq!(job.code(act.clone()).await, "host/http-bad-request", "{act}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_ends_a_waiting_request() {
    let server = Server::start(|_, _| NEVER).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let run = job.spawn(&fetch(&server.url("/")));
    while server.requests().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    job.cancel.cancel();
    let (failure, _) = crate::support::failure(run.await.unwrap());
    assert_eq!(failure.code, "host/cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_request_is_awaited_despite_a_cancellation() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Server::start(move |request, _| {
        if request.line.starts_with("POST") {
            let _ = released.lock().unwrap().recv();
        }
        ok(&request.line)
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let post = json!({ "do": "fetch", "method": "POST", "url": server.url("/charge") });
    let run = job.spawn(&post);
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    job.cancel.cancel();
    release.send(()).unwrap();
    let ended = run.await.unwrap();
    let tidemill_engine::Outcome::Output(output) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(String::from_utf8_lossy(&output).contains("POST /charge"));
    assert_eq!(job.code(post).await, "host/cancelled", "the next is not sent");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_failing_server_opens_the_circuit_for_a_minute() {
    let ill = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&ill);
    let server =
        Server::start(move |_, _| if still.load(SeqCst) { answer("503 Service Unavailable", "", "") } else { ok("") })
            .await;
    let well = Server::start(|_, _| ok("")).await;
    let host = near();
    let job = granted(&host, &[&server.origin(), &well.origin()]).await;
    for _ in 0..10 {
        assert_eq!(job.output(fetch(&server.url("/"))).await["status"], json!(503));
    }
    let (failure, cause) = job.failure(fetch(&server.url("/"))).await;
    assert_eq!((failure.code.as_str(), failure.retryable, cause), ("host/http-circuit-open", true, Cause::Guest));
    for part in [server.origin().as_str(), "2026-01-01T00:00:00", "2026-01-01T00:01:00"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(server.requests().len(), 10, "no request was sent");
    assert_eq!(job.output(fetch(&well.url("/"))).await["status"], json!(200));
    let mut other = granted(&host, &[&server.origin()]).await;
    other.context.deployment = "others".parse().unwrap();
    assert_eq!(other.output(fetch(&server.url("/"))).await["status"], json!(503), "another deployment sends itself");

    host.clock.advance(59_999);
    assert_eq!(job.code(fetch(&server.url("/"))).await, "host/http-circuit-open");
    host.clock.advance(1);
    for _ in 0..10 {
        assert_eq!(job.output(fetch(&server.url("/"))).await["status"], json!(503));
    }
    assert_eq!(job.code(fetch(&server.url("/"))).await, "host/http-circuit-open", "it was no better");

    host.clock.advance(60_000);
    ill.store(false, SeqCst);
    for _ in 0..30 {
        assert_eq!(job.output(fetch(&server.url("/"))).await["status"], json!(200));
    }
    assert_eq!(server.requests().len(), 10 + 1 + 10 + 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_or_unreachable_server_opens_the_circuit() {
    let silent = Server::start(|_, _| NEVER).await;
    let host = near();
    let gone = "http://127.0.0.1:1";
    let job = granted(&host, &[&silent.origin(), gone]).await;
    let late = json!({ "do": "fetch", "url": silent.url("/"), "timeout_ms": 20 });
    for _ in 0..10 {
        assert_eq!(job.code(late.clone()).await, "host/http-timeout");
        assert_eq!(job.code(fetch(gone)).await, "host/http-connect-failed");
    }
    assert_eq!(job.code(late).await, "host/http-circuit-open");
    assert_eq!(job.code(fetch(gone)).await, "host/http-circuit-open");
}

#[tokio::test]
async fn a_refusal_of_a_server_is_a_response() {
    let server = Server::start(|_, n| answer(["429 Too Many Requests", "404 Not Found"][n % 2], "", "")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    for _ in 0..25 {
        job.output(fetch(&server.url("/"))).await;
    }
    assert_eq!(server.requests().len(), 25);
}
