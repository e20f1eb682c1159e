//! Requests to hooks: headers and bodies under every scheme, and bodies from which values are read.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tidemill_core::Timestamp;
use tidemill_core::hook::HookSpec;
use tidemill_core::manifest::{Grants, SecretGrant, hooks};
use tidemill_core::wire::ObjectReader;
use tidemill_webhook::{
    FailureKind, HookRequest, PaypalCertificate, ProviderId, TrustRoots, VerificationInputs, VerifiedRequest, Verifier,
};

use super::texts;
use crate::Target;

/// The time of receipt, in milliseconds.
const TIME_MILLIS: u64 = 1_700_000_000_000;

/// Valid requests: the scheme's name, its headers, an empty line, and the body.
const SEEDS: [&str; 8] = [
    "stripe\nstripe-signature: t=1700000000,v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"id\":\"evt_test_webhook\",\"object\":\"event\"}",
    "standard-webhooks\nsvix-id: msg_1\nsvix-timestamp: 1700000000\nsvix-signature: v1a,PwUaN9iwymfzAQcwcZZoD1wCx5VDD5pXRsVQhz51CKy/+2ruM4gN3BcrZy6mMHKB5t7StWNliNkzy1LGcSFICQ==\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"test\":1}",
    "github\nx-github-delivery: 1\nx-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\nx-other: aaaaaaaaaaaaaaaaaaaa\n\nHello, World!",
    "slack\nx-slack-request-timestamp: 1700000000\nx-slack-signature: v0=87e642b772390ecdb0bb6ce807b483bd0cf2452cf43922df504330572d7e1e80\nx-other: aaaaaaaaaaaaaaaaaaaa\n\ntoken=x&command=%2Fgo",
    "shopify\nx-shopify-webhook-id: 1\nx-shopify-hmac-sha256: VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY=\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"id\":1}",
    "meta\nx-hub-signature-256: sha256=b38a2f589e8e63c7fc3318ee5fad162aa1c05bd62cb1ec87c9a61641619505e2\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"object\":\"page\"}",
    "paddle\npaddle-signature: ts=1700000000;h1=49c526fa70ad9398341c61025f219a8d0de140a5fedc024f1e5ec654df46a0ee\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"event_id\":\"evt_1\"}",
    "token\nauthorization: Bearer correct-horse\nx-other: aaaaaaaaaaaaaaaaaaaa\n\n{\"any\":\"body\"}",
];

/// A hook of the fuzzer with its key.
struct KnownHook {
    verifier: Verifier,
    key: &'static [u8],
}

/// The hooks by the name in the first line of an input.
static HOOKS: LazyLock<BTreeMap<&str, KnownHook>> = LazyLock::new(|| {
    let scheme = |name: &str| json!({ "scheme": name, "secret": "key" });
    let preset = |name: &str| json!({ "scheme": "hmac", "preset": name, "secret": "key" });
    let paypal = json!({ "scheme": "paypal", "webhook_id": "1JE4291016473214C" });
    let hooks: [(&str, Value, &[u8]); 9] = [
        ("stripe", scheme("stripe"), b"whsec_test_secret"),
        ("standard-webhooks", scheme("standard-webhooks"), b"whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="),
        ("github", scheme("github"), b"It's a Secret to Everybody"),
        ("slack", preset("slack"), b"8f742231b10e8888abcd99yyyzzz85a5"),
        ("shopify", preset("shopify"), b"hush"),
        ("meta", preset("meta"), b"appsecret"),
        ("paddle", preset("paddle"), b"pdl_ntfset_key"),
        ("token", scheme("token"), b"correct-horse"),
        ("paypal", paypal, b""),
    ];
    hooks.into_iter().map(|(name, fields, key)| (name, KnownHook { verifier: verifier(fields), key })).collect()
});

fn verifier(fields: Value) -> Verifier {
    Verifier::new(Arc::new(hook(fields).unwrap_or_else(|| panic!("a hook of the fuzzer is not valid"))))
}

fn hook(mut fields: Value) -> Option<HookSpec> {
    fields["name"] = "events".into();
    let key = SecretGrant { name: "key".to_owned(), to: Vec::new(), sign: false, hook: true };
    let grants = Grants { secrets: vec![key], ..Grants::default() };
    let Value::Object(fields) = json!({ "hooks": [fields] }) else { return None };
    let mut problems = Vec::new();
    let hooks = hooks::read(&mut ObjectReader::new(String::new(), fields), &grants, &mut problems);
    hooks.into_iter().next().filter(|_| problems.is_empty())
}

/// The scheme's name, the headers and the body of an input.
fn parse(input: &[u8]) -> Option<(&str, HeaderMap, &[u8])> {
    let end = input.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let name = std::str::from_utf8(lines.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(&line[..colon]).ok()?, value);
    }
    Some((name, headers, &input[end + 2..]))
}

pub struct WebhookRequest;

impl Target for WebhookRequest {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&SEEDS)
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\n",
            b"\n\n",
            b": ",
            b"t=",
            b"v1=",
            b"v0=",
            b",",
            b";",
            b" ",
            b"v1,",
            b"v1a,",
            b"sha256=",
            b"ts=",
            b"h1=",
            b"+",
            b"0",
            b".",
            b"=",
            b"1700000000",
            b"99999999999999999999",
            b"paypal\n",
            b"paypal-auth-algo: SHA256withRSA\n",
            b"paypal-transmission-time: 2023-11-14T22:13:20Z\n",
            b"paypal-cert-url: https://api.paypal.com/v1/notifications/certs/x\n",
            b"paypal-transmission-id: 1\n",
            b"paypal-transmission-sig: AAAA\n",
            b"webhook-id: 1\n",
            b"Basic ",
            b"content-encoding: gzip\n",
        ]
    }

    fn max_bytes(&self) -> usize {
        2_000
    }

    /// A verified request has the headers and the body of a seed that its signature covers.
    fn check(&self, input: &[u8]) -> bool {
        let Some((name, headers, body)) = parse(input) else { return false };
        let Some(known) = HOOKS.get(name) else { return false };
        let request = HookRequest {
            method: &Method::POST,
            path_and_query: "/hooks/shop/events",
            headers: &headers,
            body,
            received_at: Timestamp::from_millis(TIME_MILLIS),
        };
        let roots = TrustRoots::default();
        let certificate = PaypalCertificate { pem: body, roots: &roots };
        let _ = known.verifier.need(&request);
        let (keys, certificate) = ([known.key], Some(certificate));
        let inputs = VerificationInputs { keys: &keys, certificate, ..VerificationInputs::default() };
        match known.verifier.verify(&request, &inputs) {
            Ok(_) => {
                let seed = SEEDS.iter().find(|seed| seed.starts_with(&format!("{name}\n")));
                let seed = seed.and_then(|seed| parse(seed.as_bytes()));
                let same = seed.is_some_and(|(_, _, seed)| seed == body) || name == "token";
                assert!(same, "a body without a signature is verified");
                true
            }
            Err(failure) => {
                // Only a signed body can have an id that is not readable.
                let may_be_unreadable =
                    ["github", "shopify", "token"].contains(&name) || headers.contains_key("content-encoding");
                let kind = failure.kind();
                assert!(
                    kind == FailureKind::NotVerified || (kind == FailureKind::Unreadable && may_be_unreadable),
                    "{failure}"
                );
                false
            }
        }
    }
}

pub struct WebhookBody;

/// A hook that reads values from any body.
static OPEN: LazyLock<Verifier> = LazyLock::new(|| {
    verifier(json!({
        "scheme": "none", "id": "body:/id", "event": "body:/type", "object": "body:/data/object/id",
        "version": "body:/created",
    }))
});

impl Target for WebhookBody {
    fn name(&self) -> &'static str {
        "webhook-body"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            r#"{"id":"evt_1","type":"charge.refunded","created":1700000000,"data":{"object":{"id":"ch_1"}}}"#,
            r#"{"id":"WH-1","created":"2026-01-31T08:00:00Z","data":[{"object":null}]}"#,
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\"id\":",
            b"\"data\":",
            b"\"object\":",
            b"\"created\":",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b"\"",
            b"\\u0069",
            b"\\n",
            b"1e400",
            b"-9223372036854775809",
            b"18446744073709551615",
            b"null",
            b"\\ud83d",
            b"\xff",
            b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        ]
    }

    fn max_bytes(&self) -> usize {
        1_000
    }

    /// An id is read if and only if a parser finds one that is valid.
    fn check(&self, input: &[u8]) -> bool {
        let request = HookRequest {
            method: &Method::POST,
            path_and_query: "/hooks/shop/events",
            headers: &HeaderMap::new(),
            body: input,
            received_at: Timestamp::from_millis(TIME_MILLIS),
        };
        let parsed = tidemill_core::wire::json::parse(input, usize::MAX).ok();
        let id = parsed.as_ref().and_then(|body| body.get("id")).and_then(Value::as_str).map(str::to_owned);
        match OPEN.verify(&request, &VerificationInputs::default()) {
            Ok(VerifiedRequest::Handshake(_)) => unreachable!("the hook has no handshake"),
            Ok(VerifiedRequest::Delivery(verified)) => {
                // The parser also refuses names that are given twice elsewhere.
                let same = parsed.is_none() || id.and_then(ProviderId::new) == verified.id;
                assert!(same, "another id is read than a parser finds");
                true
            }
            Err(failure) => {
                assert_eq!(failure.kind(), FailureKind::Unreadable, "{failure}");
                assert!(id.and_then(ProviderId::new).is_none(), "an id that a parser finds is not read: {failure}");
                false
            }
        }
    }
}
