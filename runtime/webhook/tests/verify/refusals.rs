//! Requests that are refused, each by its reason.

use http::Method;
use serde_json::{Value, json};
use tidemill_webhook::{FailureKind, InvalidKey, VerificationFailure};

use crate::hooks::{STRIPE_BODY, STRIPE_SIGNATURE, TIME, TestRequest, valid};

fn named(name: &str) -> TestRequest {
    valid().into_iter().find(|(known, ..)| *known == name).unwrap().1
}

fn stripe(header: &str) -> TestRequest {
    named("stripe").with("stripe-signature", header)
}

#[test]
fn a_signature_header_is_read_strictly() {
    let v1 = format!("v1={STRIPE_SIGNATURE}");
    let many = vec!["v1=00"; 17].join(",");
    for (header, failure) in [
        (v1.clone(), VerificationFailure::TimeMalformed),
        (format!("t={TIME},t={TIME},{v1}"), VerificationFailure::TimeMalformed),
        (format!("t=+{TIME},{v1}"), VerificationFailure::TimeMalformed),
        (format!("t=-{TIME},{v1}"), VerificationFailure::TimeMalformed),
        (format!("t=0{TIME},{v1}"), VerificationFailure::TimeMalformed),
        (format!("t= {TIME},{v1}"), VerificationFailure::TimeMalformed),
        (format!("t=17000000001700000000,{v1}"), VerificationFailure::TimeMalformed),
        (format!("t=,{v1}"), VerificationFailure::TimeMalformed),
        (format!("t={TIME}.0,{v1}"), VerificationFailure::TimeMalformed),
        (format!("t={TIME}"), VerificationFailure::NoSignature),
        (format!("t={TIME},v0={STRIPE_SIGNATURE}"), VerificationFailure::NoSignature),
        (format!("t={TIME},v2={STRIPE_SIGNATURE}"), VerificationFailure::NoSignature),
        (format!("t={TIME},V1={STRIPE_SIGNATURE}"), VerificationFailure::NoSignature),
        (format!("t={TIME}, {v1}"), VerificationFailure::NoSignature),
        (format!("t={TIME};{v1}"), VerificationFailure::TimeMalformed),
        (format!("t={TIME},{v1}0"), VerificationFailure::WrongSignature),
        (format!("t={TIME},v1={}", &STRIPE_SIGNATURE[..63]), VerificationFailure::WrongSignature),
        (format!("t={TIME},v1="), VerificationFailure::WrongSignature),
        (format!("t={TIME},v1={}", STRIPE_SIGNATURE.to_uppercase()), VerificationFailure::WrongSignature),
        (format!("t={},{v1}", TIME + 1), VerificationFailure::WrongSignature),
        (format!("t={TIME},{many}"), VerificationFailure::TooManySignatures),
    ] {
        assert_eq!(stripe(&header).failure(), failure, "{header}");
    }
    for good in [
        format!("t={TIME},v1=00,{v1},v0=11"),
        format!("{v1},t={TIME},x"),
        format!("t={TIME},{}{v1}", "v1=00,".repeat(15)),
        format!("t={TIME},{}{v1}", "v0=00,".repeat(100)),
    ] {
        assert!(stripe(&good).verify().is_ok(), "{good}");
    }
}

#[test]
fn a_signature_header_occurs_once_and_is_short() {
    for (name, sent, headers) in valid() {
        for header in headers {
            let value = sent.headers[header].clone();
            let missing = sent.clone().without(header);
            assert!(matches!(missing.failure(), VerificationFailure::HeaderMissing(_)), "{name}: {header}");
            let twice = sent.clone().header(header, value.as_bytes());
            assert_eq!(twice.failure(), VerificationFailure::HeaderRepeated(header.to_owned()), "{name}");
            for bad in [String::new(), "x".repeat(64 * 1024), "\u{e9}".to_owned()] {
                let sent = sent.clone().with(header, &bad);
                assert_eq!(sent.failure(), VerificationFailure::HeaderMalformed(header.to_owned()), "{name}");
            }
        }
    }
}

#[test]
fn a_time_is_within_the_tolerance_on_both_sides() {
    for (name, sent, _) in valid() {
        let at = sent.received_at;
        let moved = |millis: i64| {
            let received_at = tidemill_core::Timestamp::from_millis(at.as_millis().checked_add_signed(millis).unwrap());
            TestRequest { received_at, ..sent.clone() }.verify()
        };
        let has_time = sent.deliver().unwrap().signed_at.is_some();
        for (millis, is_within) in [(300_000, true), (300_001, false), (-300_000, true), (-300_001, false)] {
            let result = moved(millis);
            assert_eq!(result.is_ok(), is_within || !has_time, "{name}: {millis}");
            if let Err(failure) = result {
                let signed_at_millis = at.as_millis();
                assert_eq!(failure, VerificationFailure::OutsideTolerance { signed_at_millis, offset_millis: -millis });
            }
        }
    }
}

#[test]
fn an_id_of_standard_webhooks_has_one_reading() {
    let sent = named("standard-webhooks v1a");
    // The text `msg_1.1700000000.{…}` is also the id `msg_1.1700000000` with a part of the body as
    // its time.
    for bad in ["msg.1", "msg_1.1700000000", ".", "a b", &"x".repeat(256)] {
        assert_eq!(sent.clone().with("svix-id", bad).failure(), VerificationFailure::SignedIdMalformed, "{bad}");
    }
}

#[test]
fn headers_of_standard_webhooks_are_not_mixed() {
    let sent = named("standard-webhooks");
    let mixed = |name: &str| {
        let value = sent.headers[format!("webhook-{name}")].clone();
        sent.clone().without(&format!("webhook-{name}")).header(&format!("svix-{name}"), value.as_bytes())
    };
    for name in ["id", "timestamp", "signature"] {
        assert_eq!(mixed(name).failure(), VerificationFailure::HeadersMixed);
    }
    // One complete set is read alone.
    let other = sent.clone().header("svix-id", "other").header("svix-signature", "v1,x");
    assert_eq!(other.deliver().unwrap().id.unwrap().as_str(), "msg_p5jXN8AQM9LWM0D4loKWxJek");
}

#[test]
fn a_key_of_standard_webhooks_is_used_with_its_kind_of_signature_only() {
    let symmetric = named("standard-webhooks");
    let signature = symmetric.headers["webhook-signature"].to_str().unwrap().to_owned();
    let relabeled = symmetric.clone().with("webhook-signature", signature.replace("v1,", "v1a,"));
    assert_eq!(relabeled.failure(), VerificationFailure::WrongSignature);
    let asymmetric = named("standard-webhooks v1a");
    let signature = asymmetric.headers["svix-signature"].to_str().unwrap().to_owned();
    let relabeled = asymmetric.clone().with("svix-signature", signature.replace("v1a,", "v1,"));
    assert_eq!(relabeled.failure(), VerificationFailure::WrongSignature);
    // An HMAC with the text of the public key, which everybody knows, is no signature.
    for list in ["v2,x", "v1", ",", "v1 x", "V1,x"] {
        let sent = symmetric.clone().with("webhook-signature", list);
        assert_eq!(sent.failure(), VerificationFailure::NoSignature, "{list}");
    }
    let valid = symmetric.headers["webhook-signature"].to_str().unwrap();
    assert!(symmetric.clone().with("webhook-signature", format!("v1,AA v1a,BB {valid}")).verify().is_ok());
    let many = format!("{}{valid}", "v1,AA ".repeat(16));
    assert_eq!(symmetric.clone().with("webhook-signature", many).failure(), VerificationFailure::TooManySignatures);
}

#[test]
fn a_secret_of_the_wrong_kind_is_the_fault_of_the_host() {
    for (name, key, bad) in [
        ("stripe", "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", InvalidKey::NotStripe),
        ("stripe", "sk_live_123", InvalidKey::NotStripe),
        ("stripe", "whsec_", InvalidKey::NotStripe),
        ("standard-webhooks", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidKey::NotStandardWebhooks),
        ("standard-webhooks", "whsec_not base64", InvalidKey::NotStandardWebhooks),
        ("standard-webhooks", "whsec_AAAA", InvalidKey::NotStandardWebhooks),
        ("standard-webhooks", "whpk_AAAA", InvalidKey::NotStandardWebhooks),
        ("github", "", InvalidKey::Empty),
        ("slack", "", InvalidKey::Empty),
    ] {
        let mut sent = named(name);
        assert_eq!(sent.verifier.check_key(key.as_bytes()), Err(bad), "{name}: {key}");
        let good = std::mem::replace(&mut sent.keys, vec![key.as_bytes().to_vec()]);
        assert_eq!(sent.failure(), VerificationFailure::KeyUnusable(bad), "{name}: {key}");
        assert_eq!(sent.failure().kind(), FailureKind::Unavailable);
        sent.keys.extend(good);
        assert!(sent.verify().is_ok(), "{name}: {key}");
    }
    for (name, mut sent, _) in valid() {
        sent.keys.clear();
        assert_eq!(sent.failure(), VerificationFailure::KeyMissing, "{name}");
        assert_eq!(sent.failure().kind(), FailureKind::Unavailable);
    }
}

fn hmac(more: Value) -> Value {
    let mut fields = json!({ "scheme": "hmac", "secret": "key", "header": "X-Sig", "encoding": "base64" });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

#[test]
fn a_sha1_signature_of_github_never_counts() {
    let sent = named("github").without("x-hub-signature-256").header("X-Hub-Signature", "sha1=00");
    assert_eq!(sent.failure(), VerificationFailure::HeaderMissing("x-hub-signature-256".to_owned()));
    let sent = named("github").with("x-hub-signature-256", "sha1=00");
    assert_eq!(sent.failure(), VerificationFailure::NoSignature);
}

#[test]
fn a_body_that_the_signature_does_not_cover_is_refused() {
    // HMAC-SHA256 of `a=1` under `key`.
    let signature = "sX+a6coFcnqa8daC4wLrdym/Vb9L71umTOu+hkZAG5k=";
    let fields = hmac(json!({ "signed": "{query}", "methods": ["GET", "POST"] }));
    let mut sent = TestRequest::new(fields, "key", "").to("/hooks/shop/events?a=1").header("x-sig", signature);
    sent.method = Method::GET;
    assert!(sent.verify().is_ok());
    sent.body = b"amount=1000000".to_vec();
    assert_eq!(sent.failure(), VerificationFailure::BodyNotCovered);
    let form = hmac(json!({ "signed": "{sorted-form}" }));
    let sent =
        TestRequest::new(form.clone(), "key", "{}").header("content-type", "application/json").header("x-sig", "x");
    assert_eq!(sent.failure(), VerificationFailure::BodyNotCovered);
    let many = "a=1&".repeat(1_001);
    let kind = "application/x-www-form-urlencoded";
    let sent = TestRequest::new(form, "key", many).header("content-type", kind).header("x-sig", "x");
    assert_eq!(sent.failure(), VerificationFailure::BodyNotCovered);
}

#[test]
fn signed_values_do_not_contain_what_separates_them() {
    let fields = hmac(json!({ "signed": "{header:x-a}.{header:x-b}..{body}.{header:x-c}" }));
    let sent = |a: &str, b: &str, c: &str| {
        let sent = TestRequest::new(fields.clone(), "key", "a.b.c").header("x-sig", "x");
        sent.header("x-a", a).header("x-b", b).header("x-c", c).failure()
    };
    assert_eq!(sent("a", "b", "c"), VerificationFailure::WrongSignature);
    assert_eq!(sent("a", "b.c", "c"), VerificationFailure::WrongSignature);
    for (a, b, c) in [("a.b", "b", "c"), ("a", "b..", "c"), ("a", "b.", "c"), ("a", "b", "c.d"), ("a", "b", ".")] {
        assert_eq!(sent(a, b, c), VerificationFailure::AmbiguousText, "{a} {b} {c}");
    }
}

#[test]
fn a_time_as_an_item_occurs_once() {
    let valid = named("paddle").headers["paddle-signature"].to_str().unwrap().to_owned();
    for bad in [format!("{valid};ts={TIME}"), valid.replace("ts=", "tx="), valid.replace("ts=", "ts=+")] {
        assert_eq!(named("paddle").with("paddle-signature", &bad).failure(), VerificationFailure::TimeMalformed);
    }
    let (time, signature) = valid.split_once(';').unwrap();
    assert!(named("paddle").with("paddle-signature", format!("{signature}; h1=00; {time}")).verify().is_ok());
}

fn token(place: Value, key: &str) -> TestRequest {
    let mut fields = json!({ "scheme": "token", "secret": "key" });
    fields.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
    TestRequest::new(fields, key, "")
}

#[test]
fn a_token_is_accepted_in_its_place_only() {
    let key = "correct horse";
    let bearer = token(json!({}), key);
    assert!(bearer.clone().header("authorization", "bearer correct horse").verify().is_ok());
    for bad in [
        "Bearer correct hors",
        "Bearer correct horse ",
        "Bearer  correct horse",
        "correct horse",
        "Basic correct horse",
        "Bearer",
    ] {
        assert_eq!(bearer.clone().header("authorization", bad).failure(), VerificationFailure::WrongToken, "{bad}");
    }
    let header = token(json!({ "header": "X-Gitlab-Token" }), key);
    assert!(header.clone().header("x-gitlab-token", key).verify().is_ok());
    assert_eq!(header.header("x-gitlab-token", "Correct horse").failure(), VerificationFailure::WrongToken);
    let query = token(json!({ "token_in": "query:key" }), key);
    assert!(query.clone().to("/hooks/a/b?x=1&key=correct+horse").verify().is_ok());
    assert!(query.clone().to("/hooks/a/b?%6bey=correct%20horse").verify().is_ok());
    assert_eq!(query.clone().to("/hooks/a/b?key=correct").failure(), VerificationFailure::WrongToken);
    for bad in ["/hooks/a/b", "/hooks/a/b?key=correct+horse&key=correct+horse"] {
        assert_eq!(query.clone().to(bad).failure(), VerificationFailure::QueryParameter("key".to_owned()));
    }
    let basic = token(json!({ "token_in": "basic" }), "aladdin:opensesame");
    assert!(basic.clone().header("authorization", "Basic YWxhZGRpbjpvcGVuc2VzYW1l").verify().is_ok());
    for bad in [
        "Basic YWxhZGRpbjpvcGVuc2VzYW1",
        "Basic !",
        "Basic YWxhZGRpbjpvcGVuc2VzYW1k",
        "Bearer YWxhZGRpbjpvcGVuc2VzYW1l",
    ] {
        assert_eq!(basic.clone().header("authorization", bad).failure(), VerificationFailure::WrongToken, "{bad}");
    }
    assert_eq!(basic.verifier.check_key(b"no pair at all"), Err(InvalidKey::NotAPair));
    assert_eq!(query.verifier.check_key(b"short"), Err(InvalidKey::ShortToken));
}

#[test]
fn every_change_of_one_bit_of_a_token_is_refused() {
    let sent = token(json!({ "header": "X-Token" }), "correct horse").header("x-token", "correct horse");
    for bit in 0..13 * 8 {
        let mut value = b"correct horse".to_vec();
        value[bit / 8] ^= 1 << (bit % 8);
        if http::HeaderValue::from_bytes(&value).is_ok() {
            assert!(sent.clone().with("x-token", &value).verify().is_err());
        }
    }
}

#[test]
fn a_method_outside_the_hook_is_no_delivery() {
    let mut sent = named("stripe");
    sent.method = Method::GET;
    assert_eq!(sent.failure(), VerificationFailure::HandshakeMalformed);
    assert_eq!(sent.failure().kind(), FailureKind::NotVerified);
}

#[test]
fn the_body_is_not_parsed_before_the_signature_is_verified() {
    let mut sent = named("stripe");
    for body in ["[".repeat(100_000), "not json".to_owned(), STRIPE_BODY.replace("evt", "evil")] {
        sent.body = body.into_bytes();
        assert_eq!(sent.failure(), VerificationFailure::WrongSignature);
    }
}
