//! Alerts on the real binary: real receivers, a kill while a notification is on its way, a dead
//! channel beyond a live one, and e-mail.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::host::{Host, PATIENCE};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One message: the channel, its id and its body.
type Message = (String, String, Value);

/// A receiver of webhooks.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Message>>>,
    /// Channels whose requests are never answered.
    held: Arc<Mutex<HashSet<String>>>,
}

impl Receiver {
    /// Listens, and returns the address.
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self.serve(listener);
        address
    }

    fn serve(&self, listener: TcpListener) {
        let routes = Router::new().route("/{channel}", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    }

    fn of(&self, channel: &str) -> Vec<(String, String)> {
        let got = self.got.lock().unwrap();
        let kind = |body: &Value| body["type"].as_str().unwrap_or_default().to_owned();
        got.iter().filter(|(to, ..)| to == channel).map(|(_, id, body)| (id.clone(), kind(body))).collect()
    }

    async fn wait_for(&self, host: &Host, channel: &str, count: usize) -> Vec<(String, String)> {
        let begun = std::time::Instant::now();
        loop {
            let got = self.of(channel);
            if got.len() >= count {
                return got;
            }
            assert!(begun.elapsed() < PATIENCE, "{channel} has {got:?}\n{}", host.output());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    UrlPath(channel): UrlPath<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert!(header("webhook-signature").starts_with("v1,"));
    let message = (channel.clone(), header("webhook-id"), serde_json::from_str(&body).unwrap());
    receiver.got.lock().unwrap().push(message);
    if receiver.held.lock().unwrap().contains(&channel) {
        std::future::pending::<()>().await;
    }
    StatusCode::NO_CONTENT
}

fn configure(host: &mut Host, dir: &Path, alerts: &str) {
    let file = dir.join("alerts.toml");
    std::fs::write(&file, alerts).unwrap();
    host.set_env(vec![
        ("TIDEMILL_ALERTS", file.to_str().unwrap().to_owned()),
        ("TIDEMILL_EGRESS_PRIVATE", "all".to_owned()),
        ("TIDEMILL_SECRET_ALERT_KEY", KEY.to_owned()),
    ]);
}

fn webhook(name: &str, address: &str) -> String {
    format!("[channels.{name}]\nkind = \"webhook\"\nurl = \"http://{address}/{name}\"\nsecret = \"alert-key\"\n")
}

fn manifest(health: &str) -> Value {
    json!({ "config": { "health": health }, "health": { "every": "1s" }, "retry": "never" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_outlives_a_kill_and_keeps_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    receiver.held.lock().unwrap().insert("held".to_owned());
    let address = receiver.open().await;
    // Nothing listens at this address until the host has been killed.
    let absent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = absent.local_addr().unwrap();
    drop(absent);
    let mut alerts = webhook("held", &address) + &webhook("live", &address) + &webhook("late", &late.to_string());
    alerts += "[routes.page]\nchannels = [\"held\", \"late\", \"live\"]\n[rules.unhealthy]\nresolve_after = \"0s\"\n";
    let mut host = Host::not_started(dir.path());
    configure(&mut host, dir.path(), &alerts);
    host.resume().await;
    host.deploy_hostile("bad", manifest("unhealthy")).await;
    // A channel that does not answer, and one that cannot be reached, delay no other.
    let live = receiver.wait_for(&host, "live", 1).await;
    let held = receiver.wait_for(&host, "held", 1).await;
    assert_eq!((live[0].1.as_str(), held[0].1.as_str()), ("alert.firing", "alert.firing"));
    assert_ne!(live[0].0, held[0].0, "each channel has a notification of its own");
    let alert = host.get("/v1/alerts").await["items"][0].clone();
    assert_eq!((&alert["rule"], &alert["deployment"]), (&json!("unhealthy"), &json!("bad")));
    host.kill();
    receiver.held.lock().unwrap().clear();
    receiver.serve(TcpListener::bind(late).await.unwrap());
    host.resume().await;
    let again = receiver.wait_for(&host, "held", 2).await;
    assert_eq!(again[0], again[1], "the receiver sees the same id again");
    assert_eq!(receiver.wait_for(&host, "late", 1).await.len(), 1);
    host.deploy_hostile("bad", manifest("healthy")).await;
    for (channel, count) in [("live", 2), ("held", 3), ("late", 2)] {
        let got = receiver.wait_for(&host, channel, count).await;
        assert_eq!(got.len(), count, "{channel}: {got:?}");
        assert_eq!(got[count - 1].1, "alert.resolved");
    }
    let shown = host.get(&format!("/v1/alerts/{}", alert["id"].as_str().unwrap())).await;
    assert_eq!((&shown["state"], shown["notifications"].as_array().unwrap().len()), (&json!("resolved"), 6));
    let states: HashSet<_> =
        shown["notifications"].as_array().unwrap().iter().map(|it| it["state"].to_string()).collect();
    assert_eq!(states, HashSet::from(["\"sent\"".to_owned()]), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_failing_runs_is_one_alert() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let alerts = webhook("team", &receiver.open().await)
        + "[routes.page]\nchannels = [\"team\"]\n[rules.unhealthy]\nresolve_after = \"0s\"\n[rules.fast-burn]\nenabled = false\n";
    let mut host = Host::not_started(dir.path());
    configure(&mut host, dir.path(), &alerts);
    host.resume().await;
    let more = json!({ "health": { "every": "1s", "enabled": false }, "retry": "never", "breaker": { "open": "1s" } });
    host.deploy_hostile("shop", more).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let request = host.http.post(host.url("/v1/deployments/shop/runs")).header("prefer", "wait=30");
        let request = request.header("content-type", "application/json").body(r#"{"do":"trap"}"#);
        calls.spawn(async move { request.send().await.unwrap().status() });
    }
    calls.join_all().await;
    receiver.wait_for(&host, "team", 1).await;
    loop {
        host.try_invoke("shop", &json!({ "do": "echo", "value": 1 })).await;
        if receiver.of("team").len() > 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let kinds: Vec<_> = receiver.of("team").into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
}

/// Plays a mail server that accepts everything, and collects the lines of all messages.
async fn mail_server(lines: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let (mut input, mut in_data) = (BufReader::new(read).lines(), false);
            write.write_all(b"220 mail\r\n").await.unwrap();
            while let Ok(Some(line)) = input.next_line().await {
                let answer: &[u8] = match (in_data, line.as_str()) {
                    (true, ".") => b"250 accepted\r\n",
                    (true, _) => b"",
                    (false, "DATA") => b"354 go ahead\r\n",
                    (false, text) if text.starts_with("EHLO") => b"250 mail\r\n",
                    (false, "QUIT") => b"221 bye\r\n",
                    _ => b"250 ok\r\n",
                };
                in_data = if in_data { line != "." } else { line == "DATA" };
                lines.lock().unwrap().push(line);
                write.write_all(answer).await.unwrap();
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_sent_as_e_mail() {
    let dir = tempfile::tempdir().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let port = mail_server(Arc::clone(&lines)).await;
    let alerts = format!(
        "[channels.mail]\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         from = \"tidemill@example.com\"\nto = [\"ops@example.com\"]\n[routes.page]\nchannels = [\"mail\"]\n"
    );
    let mut host = Host::not_started(dir.path());
    configure(&mut host, dir.path(), &alerts);
    host.resume().await;
    let test = host.http.post(host.url("/v1/alerts/channels/mail/test")).send().await.unwrap();
    let test: Value = serde_json::from_slice(&test.bytes().await.unwrap()).unwrap();
    assert_eq!(test["sent"], true, "{test}");
    host.deploy_hostile("bad", manifest("unhealthy")).await;
    host.wait_until_path("/v1/alerts", |alerts| alerts["items"][0]["announced"].is_string()).await;
    let id = host.get("/v1/alerts").await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/alerts/{id}");
    host.wait_until_path(&path, |alert| alert["notifications"][0]["state"] == "sent").await;
    let notification = host.get(&path).await["notifications"][0]["id"].as_str().unwrap().to_owned();
    let lines = lines.lock().unwrap().clone();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has(&format!("Message-ID: <{notification}@example.com>")), "{lines:#?}");
    assert!(has("Subject: [page] firing: unhealthy on bad") && has("as asked"), "{lines:#?}");
    assert!(has("RCPT TO:<ops@example.com>") && has(&format!("tidemill alerts ack {id}")), "{lines:#?}");
}
