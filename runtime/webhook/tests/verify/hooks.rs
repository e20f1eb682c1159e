//! Hooks and requests of the tests.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tidemill_core::Timestamp;
use tidemill_core::hook::HookSpec;
use tidemill_core::manifest::{Grants, SecretGrant, hooks};
use tidemill_core::wire::ObjectReader;
use tidemill_webhook::{
    HandshakeReply, HookRequest, VerificationFailure, VerificationInputs, VerifiedDelivery, VerifiedRequest, Verifier,
};

/// The time of the vectors, in seconds.
pub const TIME: u64 = 1_700_000_000;

/// Reads a hook as a manifest declares it. Its secrets are `key` and `token`.
pub fn hook(mut fields: Value) -> HookSpec {
    fields["name"] = "events".into();
    let Value::Object(fields) = json!({ "hooks": [fields] }) else { unreachable!() };
    let grant = |name: &str| SecretGrant { name: name.to_owned(), to: Vec::new(), sign: false, hook: true };
    let grants = Grants { secrets: vec![grant("key"), grant("token")], ..Grants::default() };
    let mut problems = Vec::new();
    let mut hooks = hooks::read(&mut ObjectReader::new(String::new(), fields), &grants, &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    hooks.remove(0)
}

/// Returns the delivery that a request is.
pub fn delivery(verified: VerifiedRequest) -> VerifiedDelivery {
    match verified {
        VerifiedRequest::Delivery(delivery) => *delivery,
        VerifiedRequest::Handshake(reply) => panic!("{reply:?}"),
    }
}

/// A hook, its key, and a request to it.
#[derive(Clone)]
pub struct TestRequest {
    pub verifier: Verifier,
    pub keys: Vec<Vec<u8>>,
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub received_at: Timestamp,
}

impl TestRequest {
    /// A `POST` to the hook at [`TIME`].
    pub fn new(fields: Value, key: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            verifier: Verifier::new(Arc::new(hook(fields))),
            keys: vec![key.as_bytes().to_vec()],
            method: Method::POST,
            path: "/hooks/shop/events".to_owned(),
            headers: HeaderMap::new(),
            body: body.as_ref().to_vec(),
            received_at: Timestamp::from_millis(TIME * 1_000),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// Replaces a header.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.remove(name);
        self.header(name, value)
    }

    /// Removes a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Replaces the path and the query.
    pub fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Moves the receipt by some milliseconds.
    pub fn late(mut self, millis: i64) -> Self {
        self.received_at = Timestamp::from_millis((TIME * 1_000).checked_add_signed(millis).unwrap());
        self
    }

    pub fn request(&self) -> HookRequest<'_> {
        HookRequest {
            method: &self.method,
            path_and_query: &self.path,
            headers: &self.headers,
            body: &self.body,
            received_at: self.received_at,
        }
    }

    /// Verifies the request with the keys.
    pub fn verify(&self) -> Result<VerifiedRequest, VerificationFailure> {
        let keys: Vec<&[u8]> = self.keys.iter().map(Vec::as_slice).collect();
        self.verifier.verify(&self.request(), &VerificationInputs { keys: &keys, ..VerificationInputs::default() })
    }

    /// Verifies the request, which must not be a handshake.
    pub fn deliver(&self) -> Result<VerifiedDelivery, VerificationFailure> {
        self.verify().map(delivery)
    }

    /// Verifies the request and returns the reply to the handshake, if it is one.
    pub fn handshake(&self) -> Option<HandshakeReply> {
        match self.verify().unwrap() {
            VerifiedRequest::Handshake(reply) => Some(reply),
            VerifiedRequest::Delivery(_) => None,
        }
    }

    /// Verifies the request and returns the failure.
    pub fn failure(&self) -> VerificationFailure {
        self.verify().unwrap_err()
    }
}

pub const STRIPE_BODY: &str = r#"{"id":"evt_test_webhook","object":"event"}"#;
pub const STRIPE_SIGNATURE: &str = "d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";

/// The valid requests of the vectors, each with the headers that the signature covers or contains.
pub fn valid() -> Vec<(&'static str, TestRequest, Vec<&'static str>)> {
    let hmac = |more: Value| {
        let mut fields = json!({ "scheme": "hmac", "secret": "key" });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let standard = json!({ "scheme": "standard-webhooks", "secret": "key" });
    let mut old =
        TestRequest::new(standard.clone(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", r#"{"test": 2432232314}"#);
    old.received_at = Timestamp::from_millis(1_614_265_330_000);
    vec![
        (
            "stripe",
            TestRequest::new(json!({ "scheme": "stripe", "secret": "key" }), "whsec_test_secret", STRIPE_BODY)
                .header("Stripe-Signature", format!("t={TIME},v1={STRIPE_SIGNATURE}")),
            vec!["stripe-signature"],
        ),
        (
            "standard-webhooks",
            old.header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
                .header("webhook-timestamp", "1614265330")
                .header("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            vec!["webhook-id", "webhook-timestamp", "webhook-signature"],
        ),
        (
            "standard-webhooks v1a",
            TestRequest::new(standard, "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", r#"{"test":1}"#)
                .header("svix-id", "msg_1")
                .header("svix-timestamp", TIME.to_string())
                .header(
                    "svix-signature",
                    "v1a,PwUaN9iwymfzAQcwcZZoD1wCx5VDD5pXRsVQhz51CKy/+2ruM4gN3BcrZy6mMHKB5t7StWNliNkzy1LGcSFICQ==",
                ),
            vec!["svix-id", "svix-timestamp", "svix-signature"],
        ),
        (
            "github",
            TestRequest::new(
                json!({ "scheme": "github", "secret": "key" }),
                "It's a Secret to Everybody",
                "Hello, World!",
            )
            .header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
            vec!["x-hub-signature-256"],
        ),
        (
            "slack",
            TestRequest::new(
                hmac(json!({ "preset": "slack" })),
                "8f742231b10e8888abcd99yyyzzz85a5",
                "token=x&command=%2Fgo",
            )
            .header("X-Slack-Request-Timestamp", TIME.to_string())
            .header("X-Slack-Signature", "v0=87e642b772390ecdb0bb6ce807b483bd0cf2452cf43922df504330572d7e1e80"),
            vec!["x-slack-request-timestamp", "x-slack-signature"],
        ),
        (
            "shopify",
            TestRequest::new(hmac(json!({ "preset": "shopify" })), "hush", r#"{"id":1}"#)
                .header("X-Shopify-Webhook-Id", "b54557e4")
                .header("X-Shopify-Hmac-SHA256", "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY="),
            vec!["x-shopify-hmac-sha256"],
        ),
        (
            "meta",
            TestRequest::new(hmac(json!({ "preset": "meta" })), "appsecret", r#"{"object":"page"}"#).header(
                "X-Hub-Signature-256",
                "sha256=b38a2f589e8e63c7fc3318ee5fad162aa1c05bd62cb1ec87c9a61641619505e2",
            ),
            vec!["x-hub-signature-256"],
        ),
        (
            "paddle",
            TestRequest::new(hmac(json!({ "preset": "paddle" })), "pdl_ntfset_key", r#"{"event_id":"evt_1"}"#).header(
                "Paddle-Signature",
                format!("ts={TIME};h1=49c526fa70ad9398341c61025f219a8d0de140a5fedc024f1e5ec654df46a0ee"),
            ),
            vec!["paddle-signature"],
        ),
        (
            "zoom",
            TestRequest::new(hmac(json!({ "preset": "zoom" })), "zoom-secret", r#"{"event":"meeting.started"}"#)
                .header("x-zm-request-timestamp", TIME.to_string())
                .header("x-zm-signature", "v0=d705b082281cee2311d2e389868a233b4dd62f901e25efb1fcc5420d63af4067"),
            vec!["x-zm-request-timestamp", "x-zm-signature"],
        ),
        (
            "a form with its url",
            TestRequest::new(
                hmac(json!({
                    "header": "X-Twilio-Signature", "algorithm": "sha1", "encoding": "base64",
                    "signed": "{url}{sorted-form}", "public_url": "https://mycompany.com/myapp.php",
                    "id": "form:CallSid",
                })),
                "12345",
                "To=%2B18005551212&CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309",
            )
            .to("/hooks/shop/events?foo=1&bar=2")
            .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            vec!["x-twilio-signature"],
        ),
    ]
}
