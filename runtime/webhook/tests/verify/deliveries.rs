//! What is read from a verified request.

use std::io::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::{HookEnvironment, ObjectVersion};
use tidemill_webhook::{
    BodyEncoding, FailureKind, VerificationFailure, VerifiedDelivery, is_credential_header, without_token,
};

use crate::hooks::{TestRequest, valid};

/// A request that is verified by nothing, so that any body is read.
fn open(more: Value, body: impl AsRef<[u8]>) -> TestRequest {
    let mut fields = json!({ "scheme": "none" });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    TestRequest::new(fields, "", body)
}

fn id(body: impl AsRef<[u8]>) -> Result<VerifiedDelivery, VerificationFailure> {
    open(json!({ "id": "body:/id" }), body).deliver()
}

#[test]
fn an_id_that_cannot_be_read_is_named() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(300));
    let longest = format!(r#"{{"id":"{}"}}"#, "x".repeat(255));
    assert_eq!(id(longest).unwrap().id.unwrap().as_str().len(), 255);
    for (body, failure) in [
        ("{}", VerificationFailure::IdMissing),
        ("[]", VerificationFailure::IdMissing),
        (r#"{"id":1}"#, VerificationFailure::IdMalformed),
        (r#"{"id":null}"#, VerificationFailure::IdMalformed),
        (r#"{"id":["a"]}"#, VerificationFailure::IdMalformed),
        (r#"{"id":""}"#, VerificationFailure::IdMalformed),
        (r#"{"id":"a\nb"}"#, VerificationFailure::IdMalformed),
        (r#"{"id":"a b"}"#, VerificationFailure::IdMalformed),
        (r#"{"id":"é"}"#, VerificationFailure::IdMalformed),
        (&long, VerificationFailure::IdMalformed),
        (r#"{"id":"a","id":"a"}"#, VerificationFailure::IdRepeated),
        (r#"{"id":"a","\u0069d":"b"}"#, VerificationFailure::IdRepeated),
    ] {
        let failed = id(body).unwrap_err();
        assert_eq!((&failed, failed.kind()), (&failure, FailureKind::Unreadable), "{body}");
    }
    let nested = "[".repeat(100_000) + &"]".repeat(100_000);
    for body in [b"not json".as_slice(), b"", b"{\"id\":\"\xff\"}", b"{\"id\":\"a\"} x", nested.as_bytes()] {
        let failed = id(body).unwrap_err();
        assert!(matches!(failed, VerificationFailure::BodyNotJson(_)), "{failed}");
        assert_eq!(failed.kind(), FailureKind::Unreadable);
    }
}

#[test]
fn an_id_is_read_from_each_kind_of_place() {
    let of = |place: &str| open(json!({ "id": place }), "id=f-1&x=2");
    let form = of("form:id").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.deliver().unwrap().id.unwrap().as_str(), "f-1");
    assert_eq!(of("form:id").failure(), VerificationFailure::IdMissing);
    assert_eq!(of("header:X-Id").header("x-id", "h-1").deliver().unwrap().id.unwrap().as_str(), "h-1");
    let twice = of("header:X-Id").header("x-id", "h-1").header("x-id", "h-1");
    assert_eq!(twice.failure(), VerificationFailure::IdRepeated);
    assert_eq!(of("query:id").to("/hooks/a/b?id=q%2D1").deliver().unwrap().id.unwrap().as_str(), "q-1");
    assert_eq!(of("query:id").to("/hooks/a/b?id=1&id=1").failure(), VerificationFailure::IdRepeated);
    // Without a place, the body is not parsed.
    let verified = open(json!({}), "not json").deliver().unwrap();
    assert_eq!((verified.id, verified.id_is_signed, verified.signed_digest), (None, false, None));
    assert_eq!(verified.body_digest, BodyDigest::of(b"not json"));
}

#[test]
fn object_and_version_are_read_if_they_are_there() {
    let fields = json!({ "object": "body:/data/object/id", "version": "body:/created" });
    let read = |body: Value| {
        let verified = open(fields.clone(), body.to_string()).deliver().unwrap();
        (verified.object, verified.version)
    };
    let object = |id: Value, created: Value| json!({ "data": { "object": { "id": id } }, "created": created });
    let number = Some(ObjectVersion::Number(17));
    assert_eq!(read(object("ch_1".into(), 17.into())), (Some("ch_1".to_owned()), number));
    assert_eq!(read(object(9_007_199_254_740_993_i64.into(), 17.into())).0.as_deref(), Some("9007199254740993"));
    let time = ObjectVersion::parse_time("2026-01-01T00:00:00Z");
    assert_eq!(read(object("ch_1".into(), "2026-01-01T01:00:00+01:00".into())).1, time);
    for bad in [json!(1.5), json!("17"), json!(null), json!([17])] {
        assert_eq!(read(object("ch_1".into(), bad)), (Some("ch_1".to_owned()), None));
    }
    for bad in [json!(true), json!(""), json!("a\u{202e}b"), json!("x".repeat(256)), json!({})] {
        assert_eq!(read(object(bad, 17.into())), (None, number));
    }
    let key = open(json!({ "key": "body:/customer" }), r#"{"customer":"c-1"}"#).deliver().unwrap();
    assert_eq!((key.object.as_deref(), key.version), (Some("c-1"), None));
    // An object that cannot be read does not lose the delivery.
    assert_eq!(open(fields, "not json").deliver().unwrap().object, None);
}

#[test]
fn the_environment_of_stripe_is_its_mode() {
    let (_, sent, _) = valid().remove(0);
    assert_eq!(sent.deliver().unwrap().environment, None);
    for (mode, environment) in [("true", HookEnvironment::Live), ("false", HookEnvironment::Test)] {
        let body = format!(
            r#"{{"id":"evt_1","object":"v2.core.event","type":"v1.billing.meter.no_meter_found","livemode":{mode}}}"#
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"whsec_test_secret");
        let tag = ring::hmac::sign(&key, format!("1700000000.{body}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sent = sent.clone().with("stripe-signature", format!("t=1700000000,v1={tag}"));
        sent.body = body.into_bytes();
        let verified = sent.deliver().unwrap();
        assert_eq!(verified.environment, Some(environment));
        assert_eq!(verified.event.as_deref(), Some("v1.billing.meter.no_meter_found"));
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn values_are_read_from_the_decoded_body_within_its_bound() {
    let fields = json!({ "id": "body:/id", "content_encoding": true, "max_body": "1KiB" });
    let encoded = |body: &[u8]| open(fields.clone(), gzip(body)).header("content-encoding", "GZIP");
    let verified = encoded(br#"{"id":"a"}"#).deliver().unwrap();
    assert_eq!(verified.id.unwrap().as_str(), "a");
    assert_eq!(verified.decoded_body.unwrap(), br#"{"id":"a"}"#);
    let padded = |size: usize| format!("{{\"id\":\"a\"}}{}", " ".repeat(size - 10));
    assert!(encoded(padded(1_024).as_bytes()).verify().is_ok());
    for body in [padded(1_025), padded(50_000_000)] {
        assert_eq!(encoded(body.as_bytes()).failure(), VerificationFailure::BodyNotDecodable);
    }
    let damaged = open(fields.clone(), "not gzip").header("content-encoding", "gzip");
    assert_eq!(damaged.failure().kind(), FailureKind::Unreadable);
    for (value, encoding) in [
        ("gzip", Ok(BodyEncoding::Gzip)),
        ("deflate", Ok(BodyEncoding::Deflate)),
        ("identity", Ok(BodyEncoding::Identity)),
    ] {
        assert_eq!(BodyEncoding::of(&open(json!({}), "").header("content-encoding", value).headers), encoding);
    }
    for value in ["br", "gzip, gzip", "", "zstd"] {
        assert!(BodyEncoding::of(&open(json!({}), "").header("content-encoding", value).headers).is_err(), "{value}");
    }
}

#[test]
fn credentials_are_known() {
    let token = json!({ "scheme": "token", "secret": "key", "header": "X-Gitlab-Token" });
    let hook = crate::hooks::hook(token);
    assert!(is_credential_header(&hook, "X-GitLab-Token") && is_credential_header(&hook, "Authorization"));
    assert!(is_credential_header(&hook, "cookie") && !is_credential_header(&hook, "content-type"));
    let hook = crate::hooks::hook(json!({ "scheme": "token", "secret": "key", "token_in": "query:key" }));
    for (given, stored) in [
        ("/hooks/a/b?key=secret", "/hooks/a/b"),
        ("/hooks/a/b?x=1&key=secret&y=2", "/hooks/a/b?x=1&y=2"),
        ("/hooks/a/b?%6Bey=secret&x", "/hooks/a/b?x"),
        ("/hooks/a/b?keys=1", "/hooks/a/b?keys=1"),
        ("/hooks/a/b?", "/hooks/a/b?"),
        ("/hooks/a/b", "/hooks/a/b"),
    ] {
        assert_eq!(without_token(&hook, given), stored);
    }
}

/// A request with an HMAC over `text`, whatever the hook signs.
fn signed_over(fields: Value, text: &str, query: &str, body: &str) -> TestRequest {
    let mut hook = json!({ "scheme": "hmac", "secret": "key", "header": "X-Sig" });
    hook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
    let tag = ring::hmac::sign(&key, text.as_bytes());
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    TestRequest::new(hook, "secret", body)
        .to(&format!("/hooks/shop/events{query}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-time", crate::hooks::TIME.to_string())
        .header("x-sig", tag)
}

#[test]
fn a_text_that_is_cut_into_other_values_is_the_same_delivery() {
    let url = "https://a.example/h";
    // Each pair has one signature: what follows the second body or query is only cut elsewhere.
    for (fields, text, requests) in [
        (
            json!({ "signed": "{sorted-form}", "id": "form:id" }),
            "id1x2".to_owned(),
            [("", "id=1&x=2"), ("", "id=1x2&")],
        ),
        (
            json!({ "signed": "{url}{sorted-form}", "public_url": url, "id": "form:id" }),
            format!("{url}?a=1id1"),
            [("?a=1", "id=1"), ("?a=1id1", "")],
        ),
        (
            json!({ "signed": "{url}{body}", "public_url": url, "id": "query:id" }),
            format!("{url}?id=1234"),
            [("?id=12", "34"), ("?id=123", "4")],
        ),
        (
            json!({ "signed": "{url}{body}", "public_url": url, "id": "form:id" }),
            format!("{url}?a&id=1&id=2"),
            [("?a", "&id=1&id=2"), ("?a&id=1", "&id=2")],
        ),
    ] {
        let [one, other] = requests.map(|(query, body)| signed_over(fields.clone(), &text, query, body));
        let digests = [one, other].map(|sent| {
            // One whose id is missing or repeated now is refused, which is no second delivery.
            sent.deliver().ok().map(|delivery| {
                assert!(!delivery.id_is_signed, "{fields}");
                delivery.signed_digest.unwrap()
            })
        });
        assert!(digests.iter().any(Option::is_some), "{fields}");
        let mut found = digests.into_iter().flatten();
        let first = found.next().unwrap();
        assert!(found.all(|digest| digest == first), "{fields}");
    }
}

#[test]
fn a_later_signature_of_the_same_values_has_the_same_digest() {
    let fields = json!({
        "signed": "{time}.{url}{body}", "public_url": "https://a.example/h", "id": "form:id", "time": "header:x-time",
    });
    let at = |time: u64| {
        let text = format!("{time}.https://a.example/h?q&id=1");
        let sent = signed_over(fields.clone(), &text, "?q", "&id=1").with("x-time", time.to_string());
        sent.deliver().unwrap().signed_digest.unwrap()
    };
    assert_eq!(at(crate::hooks::TIME), at(crate::hooks::TIME + 60));
}

#[test]
fn an_id_is_signed_if_the_signed_text_has_one_reading() {
    let url = json!({ "public_url": "https://a.example/h" });
    for (signed, id, is_signed, text) in [
        ("{body}", "form:id", true, "id=1"),
        ("{body}", "header:x-time", false, "id=1"),
        ("{header:x-time}.{body}", "header:x-time", true, "1700000000.id=1"),
        ("{sorted-form}", "form:id", false, "id1"),
        ("{url}|{body}", "form:id", true, "https://a.example/h?id=2|id=1"),
        ("{url}|{body}", "query:id", true, "https://a.example/h?id=2|id=1"),
        ("{body}|{url}", "query:id", true, "id=1|https://a.example/h?id=2"),
        ("{url}{body}", "form:id", false, "https://a.example/h?id=2id=1"),
        ("{url}{body}", "query:id", false, "https://a.example/h?id=2id=1"),
        ("{url}|{sorted-form}", "query:id", true, "https://a.example/h?id=2|id1"),
    ] {
        let mut fields = json!({ "signed": signed, "id": id });
        fields.as_object_mut().unwrap().extend(url.as_object().unwrap().clone());
        let delivery = signed_over(fields, text, "?id=2", "id=1").deliver().unwrap();
        assert_eq!(delivery.id_is_signed, is_signed, "{signed} {id}");
    }
}

proptest! {
    #[test]
    fn no_request_makes_a_panic(
        scheme in 0_usize..10,
        headers in prop::collection::vec((0_usize..8, "[ -~]{0,40}|(t=1700000000|v1=[0-9a-f]{0,64}|v1a?,[A-Za-z0-9+/=]{0,88}|[,; ]){0,5}"), 0..4),
        body in prop_oneof![any::<Vec<u8>>(), "[\\[\\]{}\",:0-9a-z\\\\]{0,40}".prop_map(String::into_bytes)],
        query in "[?&=%a-z0-9]{0,20}",
    ) {
        let (_, mut sent, names) = valid().remove(scheme);
        for (at, value) in headers {
            if let Some(name) = names.get(at) { sent = sent.with(name, value); }
        }
        let original = (sent.headers.clone(), sent.body.clone());
        sent = sent.to(&format!("/hooks/shop/events?{query}"));
        let _ = sent.verifier.need(&sent.request());
        let _ = sent.verify();
        sent.body = body;
        if let Err(failure) = sent.verify() { prop_assert_eq!(failure.kind(), FailureKind::NotVerified); }
        else { prop_assert_eq!(original, (sent.headers, sent.body)); }
    }
}
