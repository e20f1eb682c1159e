//! Secrets in requests and responses: where they may go, and that none comes back.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tidemill_core::Policy;
use tidemill_core::manifest::{Grants, SecretGrant};
use tidemill_core::policy::PolicyInForce;
use tidemill_engine::EgressPolicy;

use crate::egress::{FixedSecrets, fetch, granted, near};
use crate::server::{Server, answer, ok};
use crate::support::TestHost;

#[tokio::test]
async fn a_granted_secret_is_sent_and_never_returned() {
    let server = Server::start(|request, _| {
        answer(
            "200 OK",
            &format!("x-echo: {}\r\n", request.headers["authorization"]),
            &format!("{} {}", request.line, request.body),
        )
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let got = job
        .output(json!({
            "do": "fetch", "method": "POST", "url": server.url("/p?k={{secret:api-key}}"), "secrets": ["api-key"],
            "headers": [["authorization", "Bearer {{secret:api-key}}"], ["content-type", "application/json"]],
            "body": r#"{"k":"{{secret:api-key}}"}"#
        }))
        .await;
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /p?k=s3cret%2Fvalue HTTP/1.1");
    assert_eq!(requests[0].headers["authorization"], "Bearer s3cret/value");
    assert_eq!(requests[0].body, r#"{"k":"s3cret/value"}"#);
    let seen = got.to_string();
    assert!(!seen.contains("s3cret") && seen.contains("Bearer {{secret:api-key}}"), "{seen}");
    assert_eq!(got["url"], json!(server.url("/p?k={{secret:api-key}}")));
}

#[tokio::test]
async fn a_secret_is_not_sent_to_an_ungranted_origin() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let origin = server.origin();
    let grants = |to: &[&str]| Grants {
        http: vec![origin.parse().unwrap()],
        secrets: vec![SecretGrant {
            name: "api-key".to_owned(),
            to: to.iter().map(|to| to.parse().unwrap()).collect(),
            sign: true,
            hook: false,
        }],
        ..Grants::default()
    };
    let act = |name: &str| json!({ "do": "fetch", "url": server.url("/"), "secrets": [name] });
    let job = host.hostile().await.grant(grants(&["https://api.example.com"]));
    assert_eq!(job.code(act("api-key")).await, "host/secret-not-granted");
    assert_eq!(job.code(act("other")).await, "host/secret-not-granted");
    let mut missing = grants(&[&origin]);
    missing.secrets[0].name = "gone".to_owned();
    let (failure, _) = host.hostile().await.grant(missing).failure(act("gone")).await;
    assert_eq!(failure.code, "host/secret-missing");
    assert!(failure.message.contains("the place of gone"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_is_checked_and_takes_no_secret_to_another_origin() {
    let other = Server::start(|request, _| ok(&format!("{:?}", request.headers.get("authorization")))).await;
    let to = other.url("/there");
    let server = Server::start(move |request, _| match request.line.as_str() {
        "GET /same HTTP/1.1" => answer("302 Found", "location: /end\r\n", ""),
        "GET /end HTTP/1.1" => ok(&request.headers["authorization"]),
        "GET /loop HTTP/1.1" => answer("302 Found", "location: /loop\r\n", ""),
        "GET /out HTTP/1.1" => answer("307 Temporary Redirect", "location: http://10.0.0.1/\r\n", ""),
        _ => answer("302 Found", &format!("location: {to}\r\n"), ""),
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin(), &other.origin()]).await;
    let act = |path: &str| {
        json!({
            "do": "fetch", "url": server.url(path), "secrets": ["api-key"],
            "headers": [["authorization", "Bearer {{secret:api-key}}"]]
        })
    };
    let bare = |path: &str| json!({ "do": "fetch", "url": server.url(path), "headers": [["authorization", "mine"], ["idempotency-key", "mine"]] });
    assert_eq!(job.output(act("/same")).await["body"], json!("Bearer {{secret:api-key}}"));
    assert_eq!(job.code(act("/loop")).await, "host/http-too-many-redirects");
    for elsewhere in ["/move", "/out"] {
        assert_eq!(job.code(act(elsewhere)).await, "host/http-redirect-refused");
    }
    let mut post = act("/move");
    post["method"] = json!("POST");
    assert_eq!(job.output(post).await["status"], json!(302));
    assert!(other.requests().is_empty());

    let moved = job.output(bare("/move")).await;
    assert_eq!((&moved["body"], &moved["url"]), (&json!("None"), &json!(other.url("/there"))));
    assert!(!other.requests()[0].headers.contains_key("idempotency-key"));
    assert_eq!(job.code(bare("/out")).await, "host/not-granted");
    let only = granted(&host, &[&server.origin()]).await;
    assert_eq!(only.code(bare("/move")).await, "host/not-granted");
}

#[tokio::test]
async fn a_secret_in_a_redirects_url_does_not_leave_its_origin() {
    let other = Server::start(|_, _| ok("")).await;
    let to = other.origin();
    let server = Server::start(move |request, _| {
        let key =
            request.line.split("k=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
        // No search would find it backwards.
        let key: String = key.chars().rev().collect();
        answer("302 Found", &format!("location: {to}/?k={key}\r\n"), "")
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin(), &other.origin()]).await;
    let act = json!({ "do": "fetch", "url": server.url("/redir?k={{secret:api-key}}"), "secrets": ["api-key"] });
    let (failure, _) = job.failure(act.clone()).await;
    assert_eq!((failure.code.as_str(), failure.retryable), ("host/http-redirect-refused", false));
    assert!(!failure.message.contains(&other.port.to_string()), "{}", failure.message);
    assert!(other.requests().is_empty());
    let mut without = act;
    without["redirects"] = json!(0);
    assert_eq!(job.output(without).await["status"], json!(302));
}

#[tokio::test]
async fn repeated_secrets_are_hidden_in_every_encoding() {
    let server = Server::start(|request, _| {
        let sent = request.headers["authorization"].clone();
        let token = sent.strip_prefix("Basic ").unwrap();
        let hex: String = sent.bytes().map(|b| format!("{b:02X}")).collect();
        let unicode: String = "s3cret/value".bytes().map(|b| format!("\\u{b:04x}")).collect();
        let html = "s3cret&#x2F;value";
        answer(
            "200 OK",
            &format!("x-{}: 1\r\nx-token: {token}\r\n", "s3cret-s3cret/value".replace('/', "-")),
            &format!("{sent} {hex} {unicode} {html} {}", BASE64.encode(&sent)),
        )
    })
    .await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let got = job
        .output(json!({
            "do": "fetch", "url": server.url("/"), "secrets": ["api-key"],
            "headers": [["authorization", "Basic {{basic:u:api-key}}"]]
        }))
        .await;
    let token = BASE64.encode("u:s3cret/value");
    assert_eq!(server.requests()[0].headers["authorization"], format!("Basic {token}"));
    let body = got["body"].as_str().unwrap();
    assert!(body.starts_with("Basic {{basic:u:api-key}} "), "{body}");
    assert_eq!(body.matches("{{secret:api-key}}").count(), 2, "{body}");
    assert_eq!(body.matches("{{basic:u:api-key}}").count(), 3, "{body}");
    assert!(!got.to_string().contains(&token));
}

#[tokio::test]
async fn a_secret_below_the_minimum_size_is_not_sent() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let secrets = vec![SecretGrant {
        name: "short".to_owned(),
        to: vec![server.origin().parse().unwrap()],
        sign: false,
        hook: false,
    }];
    let http = vec![server.origin().parse().unwrap()];
    let job = host.hostile().await.grant(Grants { http, secrets, ..Grants::default() });
    let act = json!({ "do": "fetch", "url": server.url("/"), "secrets": ["short"] });
    assert_eq!(job.code(act).await, "host/secret-too-short");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_searched_body_costs_fuel_for_each_byte() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let act = |secrets: &[&str]| {
        let body = "{".repeat(1 << 20);
        json!({ "do": "fetch", "method": "POST", "url": server.url("/"), "body": body, "secrets": secrets })
    };
    let plain = job.run(act(&[])).await.fuel.get();
    let searched = job.run(act(&["api-key"])).await.fuel.get();
    assert!(searched > plain + (1 << 20), "{searched} {plain}");
}

#[tokio::test]
async fn a_body_that_is_too_large_with_its_secrets_is_refused() {
    let server = Server::start(|_, _| ok("")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let act = |count: usize, query: &str| {
        json!({
            "do": "fetch", "method": "POST", "url": server.url(query), "secrets": ["api-key"],
            "body": "{{basic:u:api-key}}".repeat(count), "headers": [["content-type", "application/x-www-form-urlencoded"]]
        })
    };
    assert_eq!(job.output(act(190_000, "/")).await["status"], json!(200));
    assert_eq!(job.code(act(195_000, "/")).await, "host/limit-http-body");
    let query = format!("/?{}", "{{basic:u:api-key}}".repeat(400));
    assert_eq!(job.code(act(1, &query)).await, "host/http-bad-request");
}

fn packed(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test]
async fn a_gzip_response_is_decompressed_and_searched() {
    let server =
        Server::start(|request, _| packed(request.headers.get("authorization").map_or("plain", |sent| sent.as_str())))
            .await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    let got = job.output(fetch(&server.url("/"))).await;
    assert_eq!(got["body"], json!("plain"));
    assert!(!got["headers"].to_string().contains("content-encoding"));
    assert_eq!(server.requests()[0].headers["accept-encoding"], "gzip");
    let secret = json!({
        "do": "fetch", "url": server.url("/"), "secrets": ["api-key"],
        "headers": [["authorization", "Bearer {{secret:api-key}}"], ["accept-encoding", "br"]]
    });
    assert_eq!(job.output(secret).await["body"], json!("Bearer {{secret:api-key}}"));
    assert_eq!(server.requests()[1].headers["accept-encoding"], "gzip");
}

#[tokio::test]
async fn an_unreadable_response_to_a_request_with_a_secret_is_refused() {
    let server = Server::start(|_, _| answer("200 OK", "content-encoding: br\r\n", "what?")).await;
    let host = near();
    let job = granted(&host, &[&server.origin()]).await;
    assert_eq!(job.output(fetch(&server.url("/"))).await["body"], json!("what?"));
    let mut secret = fetch(&server.url("/"));
    secret["secrets"] = json!(["api-key"]);
    assert_eq!(job.code(secret).await, "host/http-bad-answer");
}

#[tokio::test]
async fn a_stricter_policy_applies_to_the_next_call() {
    let server = Server::start(|_, _| ok("")).await;
    let policy = PolicyInForce::default();
    let own = policy.clone();
    let host = TestHost::with(|config| {
        config.egress = EgressPolicy { allow_private: true, ..EgressPolicy::default() };
        config.secrets = Arc::new(FixedSecrets);
        config.policy = own;
    });
    let job = granted(&host, &[&server.origin()]).await;
    let mut secret = fetch(&server.url("/"));
    secret["secrets"] = json!(["api-key"]);
    let set = |text: String| policy.replace(Policy::parse_toml(&text).unwrap());
    let rule = |deployment: &str| {
        format!("secrets.api-key = {{ to = [\"{}\"], deployments = [\"{deployment}\"] }}", server.origin())
    };
    assert_eq!(job.output(secret.clone()).await["status"], json!(200));
    set(rule("tests"));
    assert_eq!(job.output(secret.clone()).await["status"], json!(200));
    set(rule("others"));
    assert_eq!(job.code(secret.clone()).await, "host/policy-denied");
    assert_eq!(job.output(fetch(&server.url("/"))).await["status"], json!(200));
    set(format!("origins = [\"https://*\"]\n{}", rule("tests")));
    assert_eq!(job.code(fetch(&server.url("/"))).await, "host/egress-denied");
}
