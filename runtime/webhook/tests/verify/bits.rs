//! A change of one bit of a signature, or of what it covers, is refused.

use http::HeaderValue;
use tidemill_webhook::FailureKind;

use crate::hooks::{TestRequest, valid};
use crate::paypal;

/// Changes each bit of a header, of which `verify` refuses each change.
fn flip_header(name: &str, sent: &TestRequest, header: &'static str, verify: impl Fn(&TestRequest) -> bool) {
    let value = sent.headers[header].as_bytes().to_vec();
    for bit in 0..value.len() * 8 {
        let mut changed = value.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // An HTTP server refuses other bytes.
        let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
        let mut sent = sent.clone();
        sent.headers.insert(header, changed.clone());
        assert!(!verify(&sent), "{name}: {header}: {changed:?}");
    }
}

fn flip_body(name: &str, sent: &TestRequest, verify: impl Fn(&TestRequest) -> bool) {
    for bit in 0..sent.body.len() * 8 {
        let mut sent = sent.clone();
        sent.body[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify(&sent), "{name}: bit {bit} of the body");
    }
}

#[test]
fn every_change_of_one_bit_is_refused() {
    let is_verified = |sent: &TestRequest| match sent.verify() {
        Ok(_) => true,
        Err(failure) => {
            assert_eq!(failure.kind(), FailureKind::NotVerified, "{failure}");
            false
        }
    };
    for (name, sent, headers) in valid() {
        for header in headers {
            flip_header(name, &sent, header, is_verified);
        }
        // A form is signed after decoding, in which `+` and a space are the same, for example.
        if name != "a form with its url" {
            flip_body(name, &sent, is_verified);
        }
        let longer = TestRequest { body: [sent.body.as_slice(), b" "].concat(), ..sent.clone() };
        let shorter = TestRequest { body: sent.body[1..].to_vec(), ..sent.clone() };
        assert!(!is_verified(&longer) && !is_verified(&shorter), "{name}");
    }
}

#[test]
fn every_change_of_one_bit_is_refused_for_paypal() {
    let (sent, chain) = (paypal::sent(), paypal::chain());
    let is_verified = |sent: &TestRequest| paypal::verify(sent, &chain).is_ok();
    assert!(is_verified(&sent));
    for header in ["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig", "paypal-auth-algo"]
    {
        flip_header("paypal", &sent, header, is_verified);
    }
    flip_body("paypal", &sent, is_verified);
}
