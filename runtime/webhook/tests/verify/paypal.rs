//! PayPal: its headers, its time, its confirmation, and the weakness of its signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tidemill_core::hook::HookEnvironment;
use tidemill_webhook::{
    FailureKind, PaypalCertificate, VerificationFailure, VerificationInputs, VerificationNeed, VerifiedDelivery,
    confirmed,
};

use crate::chains::TestChain;
use crate::hooks::{STRIPE_BODY, TIME, TestRequest, delivery};

pub const BODY: &str = r#"{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}"#;
pub const TEXT: &str = "69cd13f0-d67a-11e5-baa3-778b53f4ae55|2023-11-14T22:13:20Z|1JE4291016473214C|2325436976";
const URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-7a48f8f3";
const DAY: i64 = 24 * 3_600_000;

/// Signs a text with the key of the test certificate.
pub fn sign(text: &str) -> String {
    let key = PrivatePkcs8KeyDer::from_pem_slice(tidemill_artifacts::paypal::KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    STANDARD.encode(signature)
}

/// A request with that signature.
pub fn signed(fields: Value, signature: &str) -> TestRequest {
    TestRequest::new(fields, "client:secret", BODY)
        .header("PAYPAL-AUTH-ALGO", "SHA256withRSA")
        .header("PAYPAL-CERT-URL", URL)
        .header("PAYPAL-TRANSMISSION-ID", "69cd13f0-d67a-11e5-baa3-778b53f4ae55")
        .header("PAYPAL-TRANSMISSION-TIME", "2023-11-14T22:13:20Z")
        .header("PAYPAL-TRANSMISSION-SIG", signature)
}

pub fn hook() -> Value {
    json!({ "scheme": "paypal", "webhook_id": "1JE4291016473214C" })
}

/// A valid request.
pub fn sent() -> TestRequest {
    signed(hook(), &sign(TEXT))
}

/// A valid chain.
pub fn chain() -> TestChain {
    TestChain::new()
}

/// Verifies a request with a chain.
pub fn verify(sent: &TestRequest, chain: &TestChain) -> Result<VerifiedDelivery, VerificationFailure> {
    let certificate = PaypalCertificate { pem: chain.pem.as_bytes(), roots: &chain.roots };
    let inputs = VerificationInputs { certificate: Some(certificate), ..VerificationInputs::default() };
    sent.verifier.verify(&sent.request(), &inputs).map(delivery)
}

#[test]
fn a_delivery_is_verified_with_its_certificate() {
    let (sent, chain) = (sent(), chain());
    let need = sent.verifier.need(&sent.request()).unwrap();
    let VerificationNeed::Certificate(url) = need else { panic!("{need:?}") };
    assert_eq!(url.to_string(), URL);
    assert_eq!(sent.failure(), VerificationFailure::CertificateMissing);
    assert_eq!(sent.failure().kind(), FailureKind::Unavailable);
    let verified = verify(&sent, &chain).unwrap();
    assert_eq!(verified.id.unwrap().as_str(), "WH-1");
    assert_eq!(verified.transmission_id.as_deref(), Some("69cd13f0-d67a-11e5-baa3-778b53f4ae55"));
    assert_eq!(verified.event.as_deref(), Some("PAYMENT.CAPTURE.COMPLETED"));
    assert_eq!((verified.environment, verified.id_is_signed), (Some(HookEnvironment::Live), true));
    assert_eq!(verified.signed_at.unwrap().as_millis(), TIME * 1_000);
}

#[test]
fn the_crc_is_an_unsigned_decimal() {
    assert_eq!(crc32fast::hash(b"Hello, World!"), 3_964_322_768);
    assert!(TEXT.ends_with(&crc32fast::hash(BODY.as_bytes()).to_string()));
}

#[test]
fn a_transmission_is_accepted_for_four_days() {
    let chain = chain();
    for (late, is_accepted) in
        [(4 * DAY, true), (4 * DAY + 1, false), (-300_000, true), (-300_001, false), (3 * DAY, true)]
    {
        let result = verify(&sent().late(late), &chain);
        assert_eq!(result.is_ok(), is_accepted, "{late}");
        let by_time = matches!(result, Err(VerificationFailure::OutsideTolerance { offset_millis, .. }) if offset_millis == -late);
        assert_eq!(by_time, !is_accepted, "{late}");
    }
}

#[test]
fn malformed_headers_are_refused_before_a_certificate_is_needed() {
    for (header, value) in [
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-auth-algo", "none"),
        ("paypal-cert-url", "https://example.org/v1/notifications/certs/x"),
        ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/x"),
        ("paypal-transmission-id", "a|b"),
        ("paypal-transmission-id", ""),
        ("paypal-transmission-time", "yesterday"),
        ("paypal-transmission-time", "1700000000"),
        ("paypal-transmission-time", "1969-12-31T00:00:00Z"),
    ] {
        let sent = sent().with(header, value);
        assert!(sent.verifier.need(&sent.request()).is_err(), "{header}: {value}");
        assert_eq!(verify(&sent, &chain()).unwrap_err().kind(), FailureKind::NotVerified);
    }
    for header in ["auth-algo", "cert-url", "transmission-id", "transmission-time", "transmission-sig"] {
        let header = format!("paypal-{header}");
        let missing = sent().without(&header);
        assert_eq!(verify(&missing, &chain()).unwrap_err(), VerificationFailure::HeaderMissing(header.clone()));
        let twice = sent().header(&header, "x");
        assert_eq!(verify(&twice, &chain()).unwrap_err(), VerificationFailure::HeaderRepeated(header));
    }
}

#[test]
fn the_signature_covers_the_id_of_the_webhook() {
    let fields = json!({ "scheme": "paypal", "webhook_id": "1JE4291016473214D" });
    assert_eq!(verify(&signed(fields, &sign(TEXT)), &chain()), Err(VerificationFailure::WrongSignature));
    for bad in ["", "=", "AAAA", "!", &STANDARD.encode([0; 256]), &STANDARD.encode([255; 256])] {
        let result = verify(&sent().with("paypal-transmission-sig", format!("x{bad}")), &chain());
        assert_eq!(result, Err(VerificationFailure::WrongSignature), "{bad}");
    }
}

/// Returns `body` with other characters `0` and `1` in its only run of these, so that it has the
/// given CRC-32. A CRC is linear: the change of each character changes some bits of it, whatever
/// the other characters are, so the characters to change are the solution of 32 equations.
fn forge(body: &str, crc: u32) -> String {
    let mut bytes = body.as_bytes().to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'0').collect();
    let base = crc32fast::hash(&bytes);
    // Rows of a reduced basis: the bits of the CRC, and the characters that change them.
    let mut rows: Vec<(u32, u64)> = Vec::new();
    for (number, place) in places.iter().take(64).enumerate() {
        bytes[*place] ^= 1;
        let (mut bits, mut changes) = (crc32fast::hash(&bytes) ^ base, 1_u64 << number);
        bytes[*place] ^= 1;
        for (row, set) in &rows {
            if bits & (1 << row.ilog2()) != 0 {
                bits ^= row;
                changes ^= set;
            }
        }
        if bits != 0 {
            rows.push((bits, changes));
            rows.sort_by_key(|(row, _)| std::cmp::Reverse(row.ilog2()));
        }
    }
    let (mut missing, mut changes) = (base ^ crc, 0);
    for (row, set) in &rows {
        if missing & (1 << row.ilog2()) != 0 {
            missing ^= row;
            changes ^= set;
        }
    }
    assert_eq!(missing, 0, "64 characters span all 32 bits");
    for (number, place) in places.iter().take(64).enumerate() {
        bytes[*place] ^= u8::from(changes & (1 << number) != 0);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn another_body_with_the_same_crc_has_the_same_transmission_id_and_another_digest() {
    let (original, chain) = (sent(), chain());
    let zeros = "0".repeat(64);
    let template =
        format!(r#"{{"id":"WH-2","event_type":"PAYMENT.CAPTURE.COMPLETED","amount":"1000000.00","x":"{zeros}"}}"#);
    let template = template.replacen("1000000.00", "9999999.99", 1);
    let mut forged = original.clone();
    forged.body = forge(&template, crc32fast::hash(BODY.as_bytes())).into_bytes();
    assert_ne!(forged.body, original.body);
    let (one, other) = (verify(&original, &chain).unwrap(), verify(&forged, &chain).unwrap());
    // The signature is valid, and the id is new. The caller sees the transmission id with another
    // digest.
    assert_ne!(one.id, other.id);
    assert_eq!(one.transmission_id, other.transmission_id);
    assert_ne!(one.body_digest, other.body_digest);
}

#[test]
fn postback_sends_the_event_as_it_is_written() {
    let fields = json!({
        "scheme": "paypal", "webhook_id": "1JE4291016473214C", "verify": "postback", "secret": "key",
        "environment": "test",
    });
    let url = URL.replace("api.paypal.com", "api.sandbox.paypal.com");
    let mut sent = signed(fields, "c2ln").with("paypal-cert-url", &url);
    sent.body = b"{ \"id\" : \"WH-1\", \"amount\": 1.50, \"u\": \"\\u00e9\" }\n".to_vec();
    let need = sent.verifier.need(&sent.request()).unwrap();
    let VerificationNeed::Confirmation(question) = need else { panic!("{need:?}") };
    assert_eq!(question.origin, "https://api-m.sandbox.paypal.com");
    let body = String::from_utf8(question.body.clone()).unwrap();
    assert!(body.contains(std::str::from_utf8(&sent.body).unwrap().trim()), "{body}");
    let body: Value = serde_json::from_slice(&question.body).unwrap();
    assert_eq!(body["webhook_id"], "1JE4291016473214C");
    assert_eq!((&body["transmission_sig"], &body["cert_url"]), (&"c2ln".into(), &url.into()));

    let verify = |confirmed| {
        let inputs = VerificationInputs { confirmed, ..VerificationInputs::default() };
        sent.verifier.verify(&sent.request(), &inputs).map(delivery)
    };
    let verified = verify(Some(true)).unwrap();
    assert_eq!(verified.environment, Some(HookEnvironment::Test));
    assert_eq!(verify(Some(false)), Err(VerificationFailure::NotConfirmed));
    assert_eq!(verify(None).unwrap_err().kind(), FailureKind::Unavailable);
    sent.body = b"not json".to_vec();
    assert_eq!(sent.verifier.need(&sent.request()).unwrap_err().kind(), FailureKind::NotVerified);
}

#[test]
fn an_answer_of_paypal_confirms_or_not() {
    assert_eq!(confirmed(br#"{"verification_status":"SUCCESS"}"#), Some(true));
    assert_eq!(confirmed(br#"{"verification_status":"FAILURE"}"#), Some(false));
    for other in
        ["", "{}", "SUCCESS", r#"{"verification_status":"success"}"#, r#"{"verification_status":true}"#, STRIPE_BODY]
    {
        assert_eq!(confirmed(other.as_bytes()), None, "{other}");
    }
}
