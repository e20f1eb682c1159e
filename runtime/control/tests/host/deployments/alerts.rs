//! Alerts on a host: from what is observed to what receivers get, over crashes, silences and dead
//! channels.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tidemill_control::{HostConfig, ProviderRequests};
use tidemill_core::alerts::{
    AlertConfig, AlertEvent, AlertSeverity, AlertsInForce, EventState, NewSilence, NotificationState, SilenceMatcher,
};
use tidemill_core::run::{Export, TriggerKind};
use tidemill_core::{ChannelName, Code, DeploymentName, Failure};
use tidemill_engine::egress::{ProviderRequest, ProviderResponse};
use tidemill_engine::{ActivationResult, Cause};
use tidemill_store::records::{AlertFilter, IncidentFilter, PageRequest, RunFilter};

use crate::fixture::guests::{failure, output};
use crate::fixture::{TestHost, name};

const CHECKED: [Export; 2] = [Export::Workflow, Export::Health];
const MINUTE: u64 = 60_000;

/// One message: the channel, the headers and the body.
type ReceivedMessage = (String, Vec<(&'static str, String)>, Value);

/// Receivers of webhooks: what each channel got, and which are dead.
#[derive(Debug, Default)]
struct Receivers {
    got: Mutex<Vec<ReceivedMessage>>,
    dead: Mutex<HashSet<&'static str>>,
    refusing: Mutex<HashSet<&'static str>>,
}

impl Receivers {
    /// Returns the kinds of what a channel got, with the rule of each.
    fn kinds(&self, channel: &str) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let of_channel = got.iter().filter(|(to, ..)| to == channel);
        of_channel
            .map(|(_, _, body)| {
                let kind = body["type"].as_str().unwrap_or_default().trim_start_matches("alert.");
                format!("{kind} {}", body["data"]["rule"].as_str().unwrap_or_default())
            })
            .collect()
    }

    fn bodies(&self, channel: &str) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        got.iter().filter(|(to, ..)| to == channel).map(|(.., body)| body.clone()).collect()
    }

    fn header(&self, channel: &str, name: &str) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let headers = got.iter().filter(|(to, ..)| to == channel).flat_map(|(_, headers, _)| headers);
        headers.filter(|(header, _)| *header == name).map(|(_, value)| value.clone()).collect()
    }
}

#[async_trait]
impl ProviderRequests for Receivers {
    async fn send(&self, _: &DeploymentName, _: ProviderRequest) -> Result<ProviderResponse, Failure> {
        Err(Code::EgressDenied.failure("no hook sends anything here"))
    }

    async fn send_alert(&self, channel: &ChannelName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
        assert_eq!((request.method, request.origin.as_str()), ("POST", "https://alerts.example.com"));
        if self.dead.lock().unwrap().contains(channel.as_str()) {
            return Err(Code::HttpConnectFailed.failure("connection refused"));
        }
        let body = serde_json::from_slice(&request.body).unwrap();
        self.got.lock().unwrap().push((channel.to_string(), request.headers, body));
        let status = if self.refusing.lock().unwrap().contains(channel.as_str()) { 400 } else { 204 };
        Ok(ProviderResponse { status, body: b"as it is".to_vec() })
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }
}

const ALERTS: &str = r#"
    [channels.team]
    kind = "webhook"
    url = "https://alerts.example.com/team"
    secret = "alert-key"
    [channels.pager]
    kind = "webhook"
    url = "https://alerts.example.com/pager"
    secret = "alert-key"
    [channels.boss]
    kind = "slack"
    url_secret = "boss-url"
    [channels.repair]
    kind = "workflow"
    deployment = "on-call"
    [routes.page]
    channels = ["team"]
    escalation = ["pager"]
    escalate_after = "10m"
"#;

/// A host with alerts, its receivers and the configuration in force.
struct AlertHost {
    world: TestHost,
    receivers: Arc<Receivers>,
    alerts: AlertsInForce,
}

thread_local! {
    /// What the next host of this thread is configured with; a fixture takes a plain function.
    static NEXT: std::cell::RefCell<Option<(Arc<Receivers>, AlertsInForce)>> = const { std::cell::RefCell::new(None) };
}

fn configure(config: &mut HostConfig) {
    NEXT.with_borrow(|next| {
        let (receivers, alerts) = next.as_ref().unwrap();
        config.providers = Arc::clone(receivers) as Arc<dyn ProviderRequests>;
        config.alerts = alerts.clone();
    });
    for (secret, value) in [
        ("alert-key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("boss-url", "https://alerts.example.com/services/T1/B2"),
    ] {
        let folder = config.components_dir.parent().unwrap().join("secrets");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(secret), value).unwrap();
    }
    let folder = config.components_dir.parent().unwrap().join("secrets");
    config.secrets = Arc::new(tidemill_engine::secrets::StoredSecrets::new(
        tidemill_vault::Vault::without_key(),
        Arc::new(tidemill_core::clock::SystemClock),
        tidemill_engine::secrets::EnvironmentAndFiles::new(Some(folder)),
    ));
}

fn config(more: &str) -> AlertConfig {
    AlertConfig::parse_toml(&format!("{ALERTS}{more}")).unwrap()
}

fn healthy() -> ActivationResult {
    output(r#"{"status":"healthy"}"#)
}

fn event(key: &str, state: EventState) -> AlertEvent {
    let (deployment, at) = (Some(name("a")), crate::fixture::START);
    AlertEvent {
        key: key.to_owned(),
        deployment,
        severity: AlertSeverity::Page,
        state,
        summary: "broken".to_owned(),
        at,
    }
}

impl AlertHost {
    async fn new(more: &str) -> Self {
        let receivers = Arc::<Receivers>::default();
        let alerts = AlertsInForce::new(config(more));
        NEXT.set(Some((Arc::clone(&receivers), alerts.clone())));
        let world = TestHost::with(&CHECKED, false, configure).await;
        Self { world, receivers, alerts }
    }

    /// Deploys `a`, and waits for its first observation.
    async fn deploy(&self) {
        self.world.guests.act(|_| async { healthy() });
        self.world.deploy(json!({ "name": "a", "breaker": false, "healing": "off", "retry": { "attempts": 1 } })).await;
        self.advance(15_000).await;
        self.advance(15_000).await;
    }

    /// Moves the clock, and lets everything happen that is due.
    async fn advance(&self, millis: u64) {
        self.world.clock.advance(millis);
        self.settle().await;
    }

    async fn settle(&self) {
        for _ in 0..3 {
            self.world.tick().await;
            self.world.host.health_idle().await;
            self.world.tick().await;
            self.world.host.alerts_idle().await;
        }
    }

    fn break_checks(&self) {
        self.world.guests.act(|job| async move {
            if job.export == Export::Health { failure(false, Cause::Trap) } else { output("1") }
        });
    }

    /// Makes `a` unhealthy.
    async fn fail(&self) {
        self.break_checks();
        for _ in 0..3 {
            self.advance(15_000).await;
        }
    }

    async fn recover(&self) {
        self.world.guests.act(|_| async { healthy() });
        self.advance(15_000).await;
        self.advance(MINUTE).await;
    }

    fn open(&self) -> Vec<tidemill_control::AlertView> {
        self.world.host.open_alerts(&AlertFilter::default(), None, &PageRequest::first(100)).items
    }
}

#[tokio::test]
async fn an_unhealthy_deployment_is_announced_escalated_and_over() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    assert!(host.open().is_empty());
    host.fail().await;
    let open = host.open();
    assert_eq!((open.len(), open[0].alert.key.rule.as_str()), (1, "unhealthy"));
    assert!(open[0].alert.summary.starts_with("the health check failed"), "{open:?}");
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy"]);
    host.advance(9 * MINUTE).await;
    assert!(host.receivers.kinds("pager").is_empty());
    host.advance(MINUTE).await;
    assert_eq!(host.receivers.kinds("pager"), ["escalated unhealthy"]);
    host.recover().await;
    assert!(host.open().is_empty());
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy", "resolved unhealthy"]);
    assert_eq!(host.receivers.kinds("pager"), ["escalated unhealthy", "resolved unhealthy"]);
    let (ids, signatures) =
        (host.receivers.header("team", "webhook-id"), host.receivers.header("team", "webhook-signature"));
    assert_ne!(ids[0], ids[1]);
    assert!(signatures.iter().all(|signature| signature.starts_with("v1,")), "{signatures:?}");
    let over = host.world.host.resolved_alerts(AlertFilter::default(), PageRequest::first(10)).await.unwrap();
    let (_, notifications) = host.world.host.alert(over.items[0].alert.id).await.unwrap();
    assert_eq!(notifications.len(), 4);
    assert!(notifications.iter().all(|it| matches!(it.state, NotificationState::Sent { .. }) && it.tries == 1));
    let metrics = host.world.host.metrics_text().await.unwrap();
    assert!(metrics.contains("tidemill_alert_notifications_total{channel=\"team\",outcome=\"sent\"} 2"), "{metrics}");
    assert!(metrics.contains("tidemill_alerts_firing{severity=\"page\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_storm_of_failures_sends_one_notification_and_one_when_it_is_over() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    for number in 0..10_000 {
        host.world.host.report_alert(&event("7", EventState::Firing));
        if number % 100 == 0 {
            host.advance(600).await;
        }
    }
    host.advance(1).await;
    assert_eq!(host.receivers.kinds("team"), ["firing incident"]);
    host.world.host.report_alert(&event("7", EventState::Resolved));
    host.advance(1).await;
    assert_eq!(host.receivers.kinds("team"), ["firing incident", "resolved incident"]);
    assert_eq!(host.receivers.bodies("team")[0]["data"]["subject"], "7");
}

#[tokio::test]
async fn an_acknowledged_alert_is_not_escalated() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    host.fail().await;
    let id = host.open()[0].alert.id;
    let seen = host.world.host.acknowledge_alert(id, "ann".to_owned(), "on it".to_owned()).await.unwrap();
    assert_eq!(seen.alert.state.as_str(), "acknowledged");
    host.advance(60 * MINUTE).await;
    assert!(host.receivers.kinds("pager").is_empty());
    let firing = host.world.host.open_alerts(&AlertFilter::default(), Some(false), &PageRequest::first(10));
    assert!(firing.items.is_empty() && host.open().len() == 1);
    host.recover().await;
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy", "resolved unhealthy"]);
    let late = host.world.host.acknowledge_alert(id, "bob".to_owned(), String::new()).await.unwrap_err();
    assert_eq!(late.code(), Code::AlertResolved);
    let unknown = tidemill_core::AlertId::new(crate::fixture::START, 5);
    let missing = host.world.host.acknowledge_alert(unknown, "bob".to_owned(), String::new()).await.unwrap_err();
    assert_eq!(missing.code(), Code::AlertNotFound);
}

#[tokio::test]
async fn a_silence_delays_the_announcement_until_it_ends_or_is_deleted() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    let silence = async |minutes: u64| {
        let matcher = SilenceMatcher { deployment: Some("a".to_owned()), ..SilenceMatcher::default() };
        let ends_at = host.world.host.clock().now().plus_millis(minutes * MINUTE);
        let new = NewSilence { matcher, ends_at, note: "moving".to_owned(), actor: "ann".to_owned() };
        host.world.host.add_silence(new).await.unwrap()
    };
    silence(30).await;
    host.fail().await;
    assert!(host.receivers.kinds("team").is_empty() && host.open()[0].silenced);
    host.advance(30 * MINUTE).await;
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy"]);
    assert!(host.world.host.silences().await.unwrap().is_empty());
    host.recover().await;
    let second = silence(600).await;
    host.fail().await;
    assert_eq!(host.receivers.kinds("team").len(), 2);
    host.world.host.delete_silence(second.id).await.unwrap();
    host.settle().await;
    assert_eq!(host.receivers.kinds("team").len(), 3);
    let missing = host.world.host.delete_silence(second.id).await.unwrap_err();
    assert_eq!(missing.code(), Code::SilenceNotFound);
}

#[tokio::test]
async fn a_dead_channel_delays_no_other_and_gets_everything_in_order_when_it_lives() {
    let host = AlertHost::new("[routes.ticket]\nchannels = []\n").await;
    host.alerts.replace(config(
        "[routes.ticket]\nchannels = [\"team\", \"pager\"]\n[rules.incident]\nseverity = \"ticket\"\n",
    ));
    host.deploy().await;
    host.receivers.dead.lock().unwrap().insert("team");
    for key in ["1", "2", "3"] {
        host.world.host.report_alert(&event(key, EventState::Firing));
        host.advance(1_000).await;
    }
    assert_eq!(host.receivers.kinds("pager").len(), 3);
    let channel = host.world.host.alert_channels().await.unwrap().remove(3);
    assert_eq!((channel.name.as_str(), channel.waiting), ("team", 3));
    assert!(channel.error.contains("connection refused") && channel.next.is_some(), "{channel:?}");
    assert!(channel.failures >= 1 && host.receivers.kinds("team").is_empty());
    let ids: Vec<_> = host.receivers.header("pager", "webhook-id");
    host.receivers.dead.lock().unwrap().clear();
    host.advance(10 * MINUTE).await;
    let subjects: Vec<_> = host.receivers.bodies("team").iter().map(|body| body["data"]["subject"].clone()).collect();
    assert_eq!(subjects, [json!("1"), json!("2"), json!("3")]);
    let own = host.receivers.header("team", "webhook-id");
    assert!(own.iter().all(|id| !ids.contains(id)), "each channel has a notification of its own");
    assert_eq!(host.world.host.alert_channels().await.unwrap()[3].waiting, 0);
}

#[tokio::test]
async fn a_notification_outlives_a_crash_with_its_id() {
    let mut host = AlertHost::new("").await;
    host.deploy().await;
    host.receivers.dead.lock().unwrap().insert("team");
    host.fail().await;
    let id = host.open()[0].alert.id;
    let (_, before) = host.world.host.alert(id).await.unwrap();
    assert_eq!((before.len(), before[0].state.as_str()), (1, "waiting"));
    host.world.next_epoch().await;
    host.receivers.dead.lock().unwrap().clear();
    host.settle().await;
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy"]);
    assert_eq!(host.receivers.header("team", "webhook-id"), [before[0].id.to_string()]);
    assert_eq!(host.open().len(), 1, "the alert is known after the crash");
    host.recover().await;
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy", "resolved unhealthy"]);
}

#[tokio::test]
async fn a_notification_is_given_up_after_a_day_or_if_its_receiver_refuses_it() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    host.receivers.refusing.lock().unwrap().insert("team");
    host.world.host.report_alert(&event("1", EventState::Firing));
    for _ in 0..3 {
        host.advance(MINUTE).await;
    }
    assert_eq!(host.receivers.kinds("team").len(), 3, "a message that is refused is tried three times");
    let refused = host.open()[0].alert.id;
    let dead = host.world.host.alert(refused).await.unwrap().1.remove(0);
    assert_eq!((dead.state.as_str(), dead.tries), ("dead", 3));
    assert_eq!(dead.error, "the receiver answered with status 400 as it is");
    host.receivers.refusing.lock().unwrap().clear();
    host.receivers.dead.lock().unwrap().insert("team");
    host.world.host.report_alert(&event("2", EventState::Firing));
    host.advance(MINUTE).await;
    let id = host.open()[0].alert.id;
    host.world.host.acknowledge_alert(id, "ann".to_owned(), String::new()).await.unwrap();
    host.world.host.acknowledge_alert(refused, "ann".to_owned(), String::new()).await.unwrap();
    host.advance(24 * 60 * MINUTE).await;
    let dead = host.world.host.alert(id).await.unwrap().1.remove(0);
    assert_eq!(dead.state.as_str(), "dead");
    let metrics = host.world.host.metrics_text().await.unwrap();
    assert!(metrics.contains("tidemill_alert_notifications_total{channel=\"team\",outcome=\"dead\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_workflow_receives_an_alert_once() {
    let host = AlertHost::new("[routes.ticket]\nchannels = []\n").await;
    let text = ALERTS.replace("channels = [\"team\"]", "channels = [\"repair\"]");
    host.alerts.replace(AlertConfig::parse_toml(&text).unwrap());
    host.deploy().await;
    host.world.host.report_alert(&event("1", EventState::Firing));
    host.advance(1_000).await;
    let waiting = host.world.host.alert_channels().await.unwrap();
    let repair = waiting.iter().find(|channel| channel.name.as_str() == "repair").unwrap();
    assert!(repair.error.starts_with("host/deployment-not-found"), "{repair:?}");
    let input = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&input);
    host.world.guests.act(move |job| {
        let seen = Arc::clone(&seen);
        async move {
            if job.export == Export::Health {
                return healthy();
            }
            seen.lock().unwrap().push(serde_json::from_slice::<Value>(&job.input).unwrap());
            output("1")
        }
    });
    host.world.deploy(json!({ "name": "on-call", "health": false })).await;
    host.advance(MINUTE).await;
    host.world.host.idle().await;
    host.settle().await;
    let runs = host.world.runs(RunFilter { deployment: Some(name("on-call")), ..RunFilter::default() }).await;
    assert_eq!((runs.len(), runs[0].trigger.kind), (1, TriggerKind::Manual));
    let input = input.lock().unwrap().clone();
    assert_eq!((input.len(), &input[0]["kind"], &input[0]["summary"]), (1, &json!("firing"), &json!("broken")));
}

#[tokio::test]
async fn a_test_of_a_channel_is_sent_at_once_and_reports_why_it_failed() {
    let host = AlertHost::new("").await;
    let test = async |channel: &str| host.world.host.test_alert_channel(&channel.parse().unwrap()).await;
    assert_eq!(test("boss").await.unwrap().error, None);
    let body = host.receivers.bodies("boss").remove(0);
    assert!(body["text"].as_str().unwrap().contains("This is a test of the channel `boss`"), "{body}");
    assert_eq!(test("team").await.unwrap().error, None);
    assert_eq!(host.receivers.kinds("team"), ["test test"]);
    host.receivers.dead.lock().unwrap().insert("boss");
    let error = test("boss").await.unwrap().error.unwrap();
    assert!(error.contains("connection refused") && !error.contains("/services/"), "{error}");
    assert_eq!(test("absent").await.unwrap_err().code(), Code::ChannelNotFound);
    assert!(host.open().is_empty());
}

#[tokio::test]
async fn a_burning_error_budget_pages_and_its_counts_survive_a_restart() {
    let mut host = AlertHost::new("[rules.unhealthy]\nenabled = false\n").await;
    host.world.guests.act(|_| async { output("1") });
    let slo = json!({ "availability": "99%", "latency": { "p95": "1day" } });
    host.world
        .deploy(json!({ "name": "a", "breaker": false, "health": false, "healing": "off", "retry": { "attempts": 1 }, "slo": slo }))
        .await;
    host.advance(15_000).await;
    let run = async |count: usize| {
        for _ in 0..count {
            host.world.request("a").await;
        }
        host.world.tick().await;
        host.world.host.idle().await;
        host.advance(15_000).await;
    };
    run(20).await;
    assert!(host.open().is_empty());
    host.world.guests.act(|_| async { failure(false, Cause::Trap) });
    run(9).await;
    assert!(host.open().is_empty(), "nine bad attempts are below the minimum");
    run(1).await;
    let open: Vec<_> =
        host.open().into_iter().map(|view| format!("{} {}", view.alert.key.rule, view.alert.key.subject)).collect();
    assert!(open.contains(&"fast-burn availability".to_owned()), "{open:?}");
    assert_eq!(host.receivers.kinds("team"), ["firing fast-burn"]);
    host.advance(5 * MINUTE).await;
    host.world.next_epoch().await;
    host.advance(2 * MINUTE).await;
    let open = host.open();
    let names: Vec<_> = open.iter().map(|view| view.alert.key.rule.as_str().to_owned()).collect();
    assert_eq!((names.len(), names.contains(&"fast-burn".to_owned())), (2, true), "{names:?}");
    host.advance(35 * MINUTE).await;
    host.advance(2 * MINUTE).await;
    let open = host.open();
    let fast = open.iter().find(|view| view.alert.key.rule.as_str() == "fast-burn");
    assert!(fast.is_none(), "the short window has no bad attempts any more: {open:?}");
    let slow = open.iter().find(|view| view.alert.key.rule.as_str() == "slow-burn").expect("counts of days survive");
    assert!(slow.alert.summary.contains("10 of 30 attempts in 3 days failed"), "{slow:?}");
}

#[tokio::test]
async fn an_incident_that_needs_a_person_pages_until_it_has_ended() {
    let host = AlertHost::new("[rules.unhealthy]\nenabled = false\n[rules.degraded]\nenabled = false\n").await;
    host.world.guests.act(|_| async { healthy() });
    host.world.deploy(json!({ "name": "a", "breaker": false, "healing": { "ladder": ["retry"] } })).await;
    host.advance(15_000).await;
    host.advance(15_000).await;
    host.fail().await;
    for _ in 0..60 {
        host.advance(15_000).await;
    }
    let page = host.world.host.incidents(<_>::default(), PageRequest::first(10)).await.unwrap();
    let number = page.items[0].number;
    assert_eq!(page.items[0].phase.as_str(), "escalated", "{page:?}");
    let open = host.open();
    assert_eq!((open.len(), &open[0].alert.key.subject), (1, &format!("incident-{number}")));
    assert_eq!(host.receivers.kinds("team"), ["firing incident"]);
    host.world.guests.act(|_| async { healthy() });
    for _ in 0..12 {
        host.advance(15_000).await;
    }
    let open = IncidentFilter { open: Some(true), ..IncidentFilter::default() };
    let ended = host.world.host.incidents(open, PageRequest::first(10)).await.unwrap();
    assert!(ended.items.is_empty(), "{ended:?}");
    assert_eq!(host.receivers.kinds("team"), ["firing incident", "resolved incident"]);
}

#[tokio::test]
async fn a_rule_that_the_operator_removes_ends_its_alerts() {
    let host = AlertHost::new("").await;
    host.deploy().await;
    host.fail().await;
    assert_eq!(host.open().len(), 1);
    host.alerts.replace(config("[rules.unhealthy]\nenabled = false\n"));
    host.world.host.apply_alerts();
    host.settle().await;
    assert!(host.open().is_empty());
    assert_eq!(host.receivers.kinds("team"), ["firing unhealthy", "resolved unhealthy"]);
}

#[tokio::test]
async fn a_pending_alert_is_listed_until_it_fires() {
    let host = AlertHost::new("[rules.unhealthy]\nfor = \"5m\"\n").await;
    host.deploy().await;
    host.fail().await;
    let pending = host.world.host.pending_alerts(&AlertFilter::default(), &PageRequest::first(10)).items;
    assert_eq!((pending.len(), pending[0].key.rule.as_str()), (1, "unhealthy"));
    assert_eq!(pending[0].fires_at, pending[0].since.plus_millis(5 * MINUTE));
    assert!(host.open().is_empty());
    host.advance(5 * MINUTE).await;
    assert_eq!(host.open().len(), 1);
    assert!(host.world.host.pending_alerts(&AlertFilter::default(), &PageRequest::first(10)).items.is_empty());
}
