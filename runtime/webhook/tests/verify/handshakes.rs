//! Handshakes are answered to verified senders only.

use http::Method;
use ring::hmac;
use serde_json::json;
use tidemill_core::ids::SecretName;
use tidemill_webhook::{FailureKind, HandshakeReply, VerificationFailure, VerificationNeed};

use crate::hooks::{TIME, TestRequest};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request that is signed as Slack and Zoom do.
fn signed(preset: &str, prefix: &str, body: &str) -> TestRequest {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"signing-secret");
    let signature = hex(hmac::sign(&key, format!("v0:{TIME}:{body}").as_bytes()).as_ref());
    let fields = json!({ "scheme": "hmac", "preset": preset, "secret": "key", "id": "body:/event_id" });
    let time = if preset == "slack" { "x-slack-request-timestamp" } else { "x-zm-request-timestamp" };
    TestRequest::new(fields, "signing-secret", body)
        .header(time, TIME.to_string())
        .header(&format!("{prefix}-signature"), format!("v0={signature}"))
}

fn slack(body: &str) -> TestRequest {
    signed("slack", "x-slack", body)
}

fn plain(body: &str) -> Option<HandshakeReply> {
    Some(HandshakeReply { content_type: "text/plain; charset=utf-8", body: body.to_owned() })
}

#[test]
fn slack_gets_its_challenge_back() {
    let sent = slack(
        r#"{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#,
    );
    assert_eq!(sent.handshake(), plain("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    let wrong = sent.with("x-slack-signature", format!("v0={}", "0".repeat(64)));
    assert_eq!(wrong.failure(), VerificationFailure::WrongSignature);
}

#[test]
fn other_requests_of_slack_are_deliveries() {
    let sent = slack(r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"},"challenge":"x"}"#);
    let verified = sent.deliver().unwrap();
    assert_eq!(verified.event.as_deref(), Some("app_mention"));
    assert_eq!(verified.id.unwrap().as_str(), "Ev1");
    assert_eq!(slack("command=%2Fgo").failure().kind(), FailureKind::Unreadable);
}

#[test]
fn a_challenge_is_short_and_printable() {
    let challenge = |text: &str| slack(&json!({ "type": "url_verification", "challenge": text }).to_string());
    assert!(challenge(&"x".repeat(512)).handshake().is_some());
    for bad in [String::new(), "x".repeat(513), "a\nb".to_owned(), "<\u{e9}>".to_owned()] {
        assert_eq!(challenge(&bad).failure(), VerificationFailure::HandshakeMalformed, "{bad}");
    }
    assert_eq!(slack(r#"{"type":"url_verification"}"#).failure(), VerificationFailure::HandshakeMalformed);
}

fn meta(query: &str) -> TestRequest {
    let fields = json!({
        "scheme": "hmac", "preset": "meta", "secret": "key", "handshake": "meta", "verify_token": "token",
    });
    let mut sent = TestRequest::new(fields, "meatyhamhock", "").to(&format!("/hooks/shop/events{query}"));
    sent.method = Method::GET;
    sent
}

#[test]
fn meta_gets_its_challenge_back_for_the_verify_token() {
    let sent = meta("?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock");
    let token: SecretName = "token".parse().unwrap();
    assert_eq!(sent.verifier.need(&sent.request()), Ok(VerificationNeed::HandshakeTokens(token)));
    assert_eq!(sent.handshake(), plain("1158201444"));
    let mut without = sent.clone();
    without.keys.clear();
    assert_eq!(without.failure().kind(), FailureKind::Unavailable);
    for bad in [
        "",
        "?hub.mode=subscribe&hub.challenge=1",
        "?hub.mode=subscribe&hub.verify_token=meatyhamhock",
        "?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=meatyhamhock",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=meatyhamhocx",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=meatyhamhock&hub.verify_token=meatyhamhock",
        "?hub.mode=subscribe&hub.challenge=%0a&hub.verify_token=meatyhamhock",
    ] {
        assert_eq!(meta(bad).failure().kind(), FailureKind::NotVerified, "{bad}");
    }
}

fn microsoft(query: &str) -> TestRequest {
    let fields = json!({
        "scheme": "token", "secret": "key", "token_in": "query:key", "handshake": "microsoft", "id": "body:/id",
    });
    TestRequest::new(fields, "correct-horse", "").to(&format!("/hooks/shop/events{query}"))
}

#[test]
fn microsoft_gets_its_token_back_decoded() {
    let sent = microsoft("?key=correct-horse&validationToken=Validation%3A+Testing+x");
    assert_eq!(sent.handshake(), plain("Validation: Testing x"));
    assert_eq!(microsoft("?validationToken=x").failure().kind(), FailureKind::NotVerified);
    assert_eq!(microsoft("?key=wrong&validationToken=x").failure(), VerificationFailure::WrongToken);
    let twice = microsoft("?key=correct-horse&validationToken=x&validationToken=y");
    assert_eq!(twice.failure().kind(), FailureKind::NotVerified);
    let mut delivery = microsoft("?key=correct-horse");
    delivery.body = br#"{"id":"n-1"}"#.to_vec();
    assert_eq!(delivery.deliver().unwrap().id.unwrap().as_str(), "n-1");
}

#[test]
fn zoom_gets_a_signature_of_its_token_only() {
    let validate = |token: &str| {
        let body = json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } }).to_string();
        signed("zoom", "x-zm", &body)
    };
    let reply = validate("qgg8vlvZRS6UYooatFL8Aw").handshake().unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"signing-secret");
    let expected = hex(hmac::sign(&key, b"qgg8vlvZRS6UYooatFL8Aw").as_ref());
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body, json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": expected }));
    // What a delivery signs is not a token: the endpoint would sign a delivery.
    for oracle in [&format!("v0:{TIME}:{{}}"), "short", "", &"x".repeat(65), "qgg8vlvZRS6UYooatFL8A="] {
        assert_eq!(validate(oracle).failure(), VerificationFailure::HandshakeMalformed, "{oracle}");
    }
    let unsigned = validate("qgg8vlvZRS6UYooatFL8Aw").with("x-zm-signature", "v0=00");
    assert_eq!(unsigned.failure(), VerificationFailure::WrongSignature);
}
