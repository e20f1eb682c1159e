//! The published vectors, and independent ones for what has none.

use serde_json::json;

use crate::hooks::{TestRequest, valid};

#[test]
fn every_vector_is_verified() {
    for (name, sent, _) in valid() {
        assert_eq!(sent.verify().err(), None, "{name}");
    }
}

#[test]
fn ids_are_read_where_each_scheme_has_them() {
    let ids = [
        ("stripe", Some("evt_test_webhook"), true),
        ("standard-webhooks", Some("msg_p5jXN8AQM9LWM0D4loKWxJek"), true),
        ("standard-webhooks v1a", Some("msg_1"), true),
        ("github", Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"), false),
        ("slack", None, false),
        ("shopify", Some("b54557e4"), false),
        ("meta", None, false),
        ("paddle", Some("evt_1"), true),
        ("zoom", None, false),
        ("a form with its url", Some("CA1234567890ABCDE"), false),
    ];
    for ((name, sent, _), (known, id, is_signed)) in valid().into_iter().zip(ids) {
        let verified = sent.deliver().unwrap();
        assert_eq!(name, known);
        assert_eq!((verified.id.as_ref().map(|id| id.as_str()), verified.id_is_signed), (id, is_signed), "{name}");
    }
}

#[test]
fn every_version_of_a_secret_is_tried() {
    for (name, mut sent, _) in valid() {
        let other: &[u8] = match name {
            "stripe" => b"whsec_other",
            "standard-webhooks" => b"whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "standard-webhooks v1a" => b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            _ => b"other",
        };
        sent.keys.insert(0, other.to_vec());
        sent.keys.push(other.to_vec());
        assert!(sent.verify().is_ok(), "{name}");
        sent.keys.remove(1);
        assert!(sent.verify().is_err(), "{name}");
    }
}

#[test]
fn sha512_and_base64url_are_declared() {
    let sent = TestRequest::new(
        json!({ "scheme": "hmac", "secret": "key", "header": "X-Sig", "algorithm": "sha512", "signed": "{body}" }),
        "key",
        "The quick brown fox jumps over the lazy dog",
    )
    .header("x-sig", "b42af09057bac1e2d41708e48a902e09b5ff7f12ab428a4fe86653c73dd248fb82f948a549f7b791a5b41915ee4d1ec3935357e4e2317250d0372afa2ebeeb3a");
    assert!(sent.verify().is_ok());
    let sent = TestRequest::new(
        json!({ "scheme": "hmac", "secret": "key", "header": "X-Sig", "encoding": "base64url", "signed": "{body}" }),
        "hush",
        r#"{"id":1}"#,
    )
    .header("x-sig", "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1_GSeY");
    assert!(sent.verify().is_ok());
}

#[test]
fn what_the_host_signs_is_the_published_vector_and_needs_a_symmetric_key() {
    let sign = |key: &str| {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        tidemill_webhook::sign_standard_webhook(id, 1_614_265_330, body, key.as_bytes())
    };
    let signed = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    for key in ["", "secret", "whsec_!", "whsec_c2hvcnQ=", "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="] {
        assert!(sign(key).is_err(), "{key}");
    }
}
