//! Hooks of PayPal: certificates, the weakness of their signature, and confirmations by the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tidemill_artifacts::paypal as chain;
use tidemill_control::ProviderRequests;
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::delivery::EVIDENCE_MAX;
use tidemill_core::{Code, DeploymentName, Failure};
use tidemill_engine::egress::{ProviderRequest, ProviderResponse};

use super::world::{TestResponse, World};

const HOOK: &str = "/hooks/shop/paypal";
const WEBHOOK: &str = "1JE4291016473214C";
const URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-1";

/// PayPal as the host sees it: its certificate, its API, and the roots of this machine.
#[derive(Debug)]
struct TestPaypal {
    pem: String,
    root: CertificateDer<'static>,
    requests: AtomicUsize,
    is_down: AtomicBool,
    confirms: AtomicBool,
}

impl TestPaypal {
    fn new() -> Arc<Self> {
        let root = chain::root().unwrap();
        let now = Duration::from_millis(SystemClock.now().as_millis());
        let leaf = chain::leaf(now - Duration::from_secs(3_600), now + Duration::from_secs(86_400)).unwrap();
        let pem = leaf.signed_by(&chain::key().unwrap(), &root).unwrap().pem();
        Arc::new(Self {
            pem,
            root: root.der().clone().into_owned(),
            requests: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            confirms: AtomicBool::new(true),
        })
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ProviderRequests for TestPaypal {
    async fn send(&self, of: &DeploymentName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        assert_eq!(of.as_str(), "shop");
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Code::HttpConnectFailed.failure("it is down"));
        }
        let answer = |body: String| Ok(ProviderResponse { status: 200, body: body.into_bytes() });
        match (request.origin.as_str(), request.path.as_str()) {
            ("https://api.paypal.com", "/v1/notifications/certs/CERT-1") => answer(self.pem.clone()),
            ("https://api-m.paypal.com", "/v1/oauth2/token") => {
                assert_eq!(request.headers[0].1, format!("Basic {}", BASE64.encode("client-id:client-secret")));
                answer(r#"{"access_token":"A21AA","expires_in":32400}"#.to_owned())
            }
            ("https://api-m.paypal.com", "/v1/notifications/verify-webhook-signature") => {
                assert_eq!(request.headers[0].1, "Bearer A21AA");
                let question: Value = serde_json::from_slice(&request.body).unwrap();
                assert_eq!(question["webhook_id"], WEBHOOK);
                let status = if self.confirms.load(Ordering::SeqCst) { "SUCCESS" } else { "FAILURE" };
                answer(json!({ "verification_status": status }).to_string())
            }
            _ => Ok(ProviderResponse { status: 404, body: Vec::new() }),
        }
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        vec![self.root.clone()]
    }
}

async fn world(paypal: &Arc<TestPaypal>, fields: Value) -> World {
    let providers = Arc::clone(paypal) as Arc<dyn ProviderRequests>;
    let world = World::with_host(|config| config.providers = providers).await;
    deploy(&world, fields).await;
    world
}

async fn deploy(world: &World, fields: Value) {
    world.secret("paypal-api", "client-id:client-secret");
    world.upload("shop", "1.0.0", b"\0asm webhook").await.is(201);
    let mut hook = json!({ "name": "paypal", "scheme": "paypal", "webhook_id": WEBHOOK, "events": ["PAYMENT.*"] });
    hook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let manifest = json!({
        "module": "shop@1.0.0", "hooks": [hook],
        "grants": { "secrets": [{ "name": "paypal-api", "use": "hook" }] },
    });
    world.put("/v1/deployments/shop", manifest).await.is(201);
}

/// A transmission as PayPal signs it.
#[derive(Clone)]
struct Transmission {
    id: &'static str,
    time: String,
    url: String,
    signature: String,
}

impl Transmission {
    /// Signs a body.
    fn of(id: &'static str, body: &str) -> Self {
        let time = SystemClock.now().to_string();
        let key = PrivatePkcs8KeyDer::from_pem_slice(chain::KEY.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let text = format!("{id}|{time}|{WEBHOOK}|{}", crc32fast::hash(body.as_bytes()));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        Self { id, time, url: URL.to_owned(), signature: BASE64.encode(signature) }
    }

    async fn send(&self, world: &World, body: &str) -> TestResponse {
        let headers = [
            ("paypal-auth-algo", "SHA256withRSA"),
            ("paypal-cert-url", &self.url),
            ("paypal-transmission-id", self.id),
            ("paypal-transmission-time", &self.time),
            ("paypal-transmission-sig", &self.signature),
        ];
        world.ask("POST", HOOK, &headers, body.to_owned()).await
    }
}

const BODY: &str = r#"{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","amount":"10.00"}"#;

/// Returns a body with the CRC-32 of [`BODY`]: `start`, and blanks and tabs that make up for the
/// difference. Each of 32 places changes other bits of the CRC, which is linear.
fn forged(start: &str) -> String {
    let mut bytes = format!("{start}{}", " ".repeat(64)).into_bytes();
    let (first, crc) = (start.len(), crc32fast::hash(BODY.as_bytes()));
    let base = crc32fast::hash(&bytes);
    let mut rows: Vec<(u32, u64)> = Vec::new();
    for number in 0..64 {
        // A blank and a tab differ in two bits.
        bytes[first + number] = b'\t';
        let (mut bits, mut changes) = (crc32fast::hash(&bytes) ^ base, 1_u64 << number);
        bytes[first + number] = b' ';
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
    for number in 0..64 {
        if changes & (1 << number) != 0 {
            bytes[first + number] = b'\t';
        }
    }
    let forged = String::from_utf8(bytes).unwrap();
    assert_eq!(crc32fast::hash(forged.as_bytes()), crc);
    forged
}

#[tokio::test]
async fn a_delivery_of_paypal_is_verified_with_one_fetch() {
    let paypal = TestPaypal::new();
    let world = world(&paypal, json!({})).await;
    let sent = Transmission::of("t-1", BODY);
    let answer = sent.send(&world, BODY).await.is(202).json();
    assert_eq!(sent.send(&world, BODY).await.is(200).json()["outcome"], "duplicate");
    let delivery = world.get(&format!("/v1/deliveries/{}", answer["delivery"].as_str().unwrap())).await.is(200).json();
    assert_eq!((&delivery["key"], &delivery["transmission"]), (&json!("WH-1"), &json!("t-1")));
    assert_eq!((&delivery["verified_by"], &delivery["event"]), (&json!("paypal"), &json!("PAYMENT.CAPTURE.COMPLETED")));
    let other = r#"{"id":"WH-2","event_type":"CUSTOMER.DISPUTE.CREATED"}"#;
    assert_eq!(Transmission::of("t-2", other).send(&world, other).await.is(200).json()["outcome"], "ignored");
    assert_eq!(paypal.requests(), 1);
}

#[tokio::test]
async fn another_body_with_the_same_crc_is_refused_kept_and_reported() {
    let paypal = TestPaypal::new();
    let world = world(&paypal, json!({})).await;
    let sent = Transmission::of("t-1", BODY);
    sent.send(&world, BODY).await.is(202);
    for number in 0..EVIDENCE_MAX + 2 {
        let body = forged(&format!(r#"{{"id":"WH-{}","event_type":"PAYMENT.X","amount":"9999.99"}}"#, 100 + number));
        sent.send(&world, &body).await.refused(401, "host/hook-unverified");
    }
    let refused = world.get("/v1/deliveries?outcome=refused&limit=100").await.is(200).json();
    let refused = refused["items"].as_array().unwrap();
    assert_eq!(refused.len(), EVIDENCE_MAX as usize);
    assert!(refused.iter().all(|one| one["transmission"] == "t-1" && one["run_count"] == 0), "{refused:#?}");
    let hooks = world.get("/v1/deployments/shop/hooks").await.is(200).json();
    assert!(hooks["items"][0]["requests"].to_string().contains(r#"{"requests":12,"result":"forged"}"#), "{hooks}");
    let warnings = world.get("/v1/health").await.is(200).json()["warnings"].to_string();
    assert!(warnings.contains("hook shop/paypal: 12 deliveries had another body"), "{warnings}");
    let path = format!("/v1/deliveries/{}/replay", refused[0]["id"].as_str().unwrap());
    world.post(&path, json!({})).await.refused(409, "host/delivery-state");
    // The first one is a duplicate as before.
    assert_eq!(sent.send(&world, BODY).await.is(200).json()["outcome"], "duplicate");
}

#[tokio::test]
async fn urls_that_are_not_quite_of_paypal_cause_no_request() {
    let paypal = TestPaypal::new();
    let world = world(&paypal, json!({})).await;
    let sent = Transmission::of("t-1", BODY);
    for url in [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.example.org/v1/notifications/certs/CERT-1",
        "https://evilapi.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@example.org/v1/notifications/certs/CERT-1",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://API.PAYPAL.COM/v1/notifications/certs/CERT-1",
        "https://api.paypal.com./v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../../oauth2/token",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?x",
        "https://169.254.169.254/v1/notifications/certs/CERT-1",
    ] {
        let sent = Transmission { url: url.to_owned(), ..sent.clone() };
        sent.send(&world, BODY).await.refused(401, "host/hook-unverified");
    }
    assert_eq!(paypal.requests(), 0);
}

#[tokio::test]
async fn the_host_does_not_blame_paypal_for_what_it_cannot_fetch() {
    let paypal = TestPaypal::new();
    let world = world(&paypal, json!({})).await;
    paypal.is_down.store(true, Ordering::SeqCst);
    let sent = Transmission::of("t-1", BODY);
    let answer = sent.send(&world, BODY).await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.refused(503, "host/hook-unavailable");
    // The failure is remembered: a flood causes no request for each.
    for _ in 0..20 {
        sent.send(&world, BODY).await.is(503);
    }
    assert_eq!(paypal.requests(), 1);
    // A certificate that PayPal does not have is no certificate.
    paypal.is_down.store(false, Ordering::SeqCst);
    let url = URL.replace("CERT-1", "CERT-2");
    Transmission { url, ..sent }.send(&world, BODY).await.is(401);
    assert_eq!(world.get("/v1/deliveries").await.is(200).json(), json!({ "items": [] }));
}

#[tokio::test]
async fn a_folder_of_certificates_needs_no_fetch() {
    let paypal = TestPaypal::new();
    let folder = tempfile::tempdir().unwrap();
    let providers = Arc::clone(&paypal) as Arc<dyn ProviderRequests>;
    let certs = Some(folder.path().to_owned());
    let world = World::with_host(|config| (config.providers, config.paypal_certs) = (providers, certs)).await;
    deploy(&world, json!({})).await;
    let sent = Transmission::of("t-1", BODY);
    sent.send(&world, BODY).await.refused(503, "host/hook-unavailable");
    // A chain with its own root is not trusted.
    let own = TestPaypal::new();
    let file = folder.path().join("CERT-1.pem");
    std::fs::write(&file, format!("{}{}", own.pem, pem_of(&own.root))).unwrap();
    sent.send(&world, BODY).await.is(401);
    std::fs::write(&file, &paypal.pem).unwrap();
    sent.send(&world, BODY).await.is(202);
    assert_eq!(paypal.requests(), 0);
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(der))
}

#[tokio::test]
async fn the_api_of_paypal_confirms_each_delivery() {
    let paypal = TestPaypal::new();
    let world = world(&paypal, json!({ "verify": "postback", "secret": "paypal-api" })).await;
    let sent = |id| Transmission { id, signature: "c2ln".to_owned(), ..Transmission::of(id, BODY) };
    sent("t-1").send(&world, BODY).await.is(202);
    assert_eq!(paypal.requests(), 2);
    paypal.confirms.store(false, Ordering::SeqCst);
    let other = BODY.replace("WH-1", "WH-2");
    sent("t-2").send(&world, &other).await.refused(401, "host/hook-unverified");
    assert_eq!(paypal.requests(), 3);
    paypal.is_down.store(true, Ordering::SeqCst);
    sent("t-3").send(&world, &other).await.refused(503, "host/hook-unavailable");
    // Other bytes under a known transmission are refused even if the API confirms them.
    paypal.is_down.store(false, Ordering::SeqCst);
    paypal.confirms.store(true, Ordering::SeqCst);
    sent("t-1").send(&world, &other).await.is(401);
    let refused = world.get("/v1/deliveries?outcome=refused").await.is(200).json();
    assert_eq!(refused["items"].as_array().unwrap().len(), 1);
}
