//! A canary in place of each secret: nothing that the host writes or answers contains it, as it is
//! or encoded.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::host::Host;

/// The values: one in the store, one in the environment, and one of a hook. Their bytes change in
/// every encoding, and each is long enough that no other text contains it.
const CANARIES: [&str; 3] =
    ["canary/one+Kq7~Zt%Vx2_mB9&Lw", "canary/two+Rd4~Hs%Gn8_pJ3&Qy", "canary/three+Wf6~Xc%Tb1_kN5"];
const MASTER_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
/// A text that is no secret and that must be found, which shows that the search finds one.
const CONTROL: &str = "no-secret/at+all~Yv0_cE7";

/// Every form in which a text is searched.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let all: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let some: String = bytes
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let mut forms = vec![
        text.to_owned(),
        hex.to_ascii_uppercase(),
        hex,
        all.to_ascii_lowercase(),
        all,
        some.to_ascii_lowercase(),
        some.replace("%20", "+"),
        text.replace('/', "\\/"),
        bytes.iter().map(|byte| format!("{byte}, ")).collect(),
        bytes.iter().map(|byte| format!("{byte},")).collect(),
    ];
    for offset in 0..3 {
        for engine in [STANDARD, URL_SAFE] {
            let encoded = engine.encode([vec![0; offset], bytes.to_vec()].concat());
            // What depends on this text alone: neither on the bytes before it nor on those after.
            let first = (8 * offset).div_ceil(6);
            let last = 8 * (offset + bytes.len()) / 6;
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What the host wrote or answered: a name, and the bytes.
type Trace = (String, Vec<u8>);

/// Reads all files below a folder.
fn files(folder: &Path, found: &mut Vec<Trace>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// A server that answers each request with all of it, and with its secrets in other encodings.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 16];
                let length = stream.read(&mut request).await.unwrap_or_default();
                request.truncate(length);
                let hex: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
                let base64 = STANDARD.encode(&request);
                let body = [request.as_slice(), b"\n", base64.as_bytes(), b"\n", hex.as_bytes()].concat();
                let sent: Vec<_> = CANARIES.iter().filter(|canary| contains(&request, canary.as_bytes())).collect();
                let echoed = sent.first().map_or(String::new(), |canary| format!("x-echo: {canary}\r\n"));
                let head = format!(
                    "HTTP/1.1 200 OK\r\n{echoed}x-sent: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    sent.len(),
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("http://{address}")
}

/// A caller that keeps every answer.
struct Caller<'a> {
    host: &'a Host,
    answers: Vec<Trace>,
}

impl Caller<'_> {
    async fn send(&mut self, name: &str, request: reqwest::RequestBuilder) -> (u16, Vec<u8>) {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let body = answer.bytes().await.unwrap().to_vec();
        self.answers.push((name.to_owned(), [headers.as_bytes(), &body].concat()));
        (status, body)
    }

    async fn get(&mut self, path: &str) -> Vec<u8> {
        let (status, body) = self.send(path, self.host.http.get(self.host.url(path))).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        body
    }

    async fn put(&mut self, path: &str, body: String) -> u16 {
        let request = self.host.http.put(self.host.url(path)).header("content-type", "application/json");
        self.send(path, request.body(body)).await.0
    }

    async fn run(&mut self, input: &Value) -> Value {
        let (_, run) = self.host.try_invoke("hostile", input).await;
        self.answers.push((input["do"].to_string(), run.to_string().into_bytes()));
        run
    }

    /// Reads everything that the API shows of each item of a list.
    async fn items(&mut self, list: &str, id: &str, parts: &[&str]) {
        let page: Value = serde_json::from_slice(&self.get(list).await).unwrap();
        for item in page["items"].as_array().unwrap() {
            let path = list.split('?').next().unwrap();
            for part in parts {
                self.get(&format!("{path}/{}{part}", item[id].as_str().unwrap())).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_log_or_answer_contains_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(vec![
        ("TIDEMILL_MASTER_KEY", MASTER_KEY.to_owned()),
        ("TIDEMILL_SECRET_TWO", CANARIES[1].to_owned()),
        ("TIDEMILL_EGRESS_PRIVATE", "all".to_owned()),
        ("TIDEMILL_LOG", "debug".to_owned()),
    ]);
    host.resume().await;
    let origin = echo().await;
    let mut caller = Caller { host: &host, answers: Vec::new() };

    // Secrets are set, replaced, and refused.
    assert_eq!(caller.put("/v1/secrets/one", json!({ "value": "the value before" }).to_string()).await, 201);
    assert_eq!(caller.put("/v1/secrets/one?overlap=1h", json!({ "value": CANARIES[0] }).to_string()).await, 200);
    assert_eq!(caller.put("/v1/secrets/three", json!({ "value": CANARIES[2] }).to_string()).await, 201);
    for (path, body) in [
        ("/v1/secrets/one", json!({ "value": CANARIES[0], "valeu": CANARIES[0] })),
        ("/v1/secrets/one", json!({ "value": CANARIES[0], "encoding": "hex" })),
        ("/v1/secrets/one", json!({ "value": [CANARIES[0]] })),
        ("/v1/secrets/one?overlap=often", json!({ "value": CANARIES[0] })),
        ("/v1/secrets/ONE", json!({ "value": CANARIES[0] })),
    ] {
        let status = caller.put(path, body.to_string()).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    assert_eq!(caller.put("/v1/secrets/one", format!("{{\"value\": \"{}\"", CANARIES[0])).await, 400);

    // Requests carry them in every place, to a server that repeats them, and to a closed port.
    let secret = |name: &str| json!({ "name": name, "to": [&origin, "http://127.0.0.1:9"] });
    let grants = json!({ "http": [&origin, "http://127.0.0.1:9"], "secrets": [secret("one"), secret("two")] });
    host.deploy_hostile("hostile", json!({ "grants": grants, "retry": { "attempts": 1 } })).await;
    let mut sent = 0;
    for (name, canary) in [("one", CANARIES[0]), ("two", CANARIES[1])] {
        for (path, header, body) in [
            (String::new(), format!("Bearer {{{{secret:{name}}}}}"), String::new()),
            (format!("/?key={{{{secret:{name}}}}}"), CONTROL.to_owned(), String::new()),
            (String::new(), format!("Basic {{{{basic:user:{name}}}}}"), String::new()),
            (String::new(), CONTROL.to_owned(), format!("{{\"key\": \"{{{{secret:{name}}}}}\"}}")),
        ] {
            let headers = json!([["authorization", header], ["content-type", "application/json"]]);
            let fetch = json!({
                "do": "fetch", "url": format!("{origin}{path}"), "method": "POST", "headers": headers,
                "body": body, "secrets": [name],
            });
            let run = caller.run(&fetch).await;
            assert_eq!(run["state"], "succeeded", "{run}");
            sent += usize::from(run.to_string().contains("x-sent"));
            // No server listens there.
            let mut failing = fetch.clone();
            failing["url"] = json!(format!("http://127.0.0.1:9{path}"));
            caller.run(&failing).await;
        }
        // A guest that guesses a name that is not granted learns nothing.
        caller.run(&json!({ "do": "fetch", "url": origin, "secrets": ["three"] })).await;
        assert!(!forms(canary).is_empty());
    }
    assert_eq!(sent, 8, "the requests carried the secrets");

    // Deliveries carry a token.
    host.upload("worlds", tidemill_artifacts::all_worlds()).await;
    let hook = |name: &str, place: Value| {
        let mut hook = json!({ "name": name, "scheme": "token", "secret": "three", "id": "header:x-id" });
        hook.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        hook
    };
    let manifest = json!({
        "module": "worlds@1.0.0", "health": { "enabled": false },
        "grants": { "secrets": [{ "name": "three", "use": "hook" }] },
        "hooks": [
            hook("bearer", json!({})), hook("header", json!({ "header": "X-Token" })),
            hook("query", json!({ "token_in": "query:key" })),
        ],
    });
    host.deploy("shop", &manifest).await;
    let encoded: String = CANARIES[2].bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (name, path, header, value) in [
        ("bearer", "/hooks/shop/bearer".to_owned(), "authorization", format!("Bearer {}", CANARIES[2])),
        ("header", "/hooks/shop/header".to_owned(), "x-token", CANARIES[2].to_owned()),
        ("query", format!("/hooks/shop/query?key={encoded}"), "x-other", "x".to_owned()),
    ] {
        for (id, body, status) in [("1", format!("{CONTROL} {name}"), 202), ("two words", String::new(), 400)] {
            let request = host.http.post(host.url(&path)).header(header, &value).header("x-id", id).body(body);
            assert_eq!(caller.send(&path, request).await.0, status, "{name}");
        }
        // A method that the hook does not take, and another hook of no deployment.
        let request = host.http.put(host.url(&path)).header(header, &value);
        assert_eq!(caller.send(&path, request).await.0, 405);
        let request = host.http.post(host.url(&path.replace("/shop/", "/none/"))).header(header, &value);
        assert_eq!(caller.send(&path, request).await.0, 404);
    }
    host.wait_until_path("/v1/deliveries?outcome=done", |page| page["items"].as_array().unwrap().len() == 3).await;

    // Everything that the API shows.
    for path in [
        "/v1/secrets/one",
        "/v1/deployments/hostile",
        "/v1/deployments/shop/hooks",
        "/v1/deployments/hostile/revisions",
        "/v1/health",
        "/v1/parked",
        "/metrics",
        "/openapi.json",
    ] {
        caller.get(path).await;
    }
    caller.items("/v1/secrets?limit=100", "name", &[]).await;
    caller.items("/v1/runs?limit=500", "id", &["", "/logs", "/journal", "/explain"]).await;
    caller.items("/v1/deliveries?limit=500", "id", &["", "/body"]).await;
    let mut traces = caller.answers;
    host.stop();
    traces.push(("the log".to_owned(), host.output().into_bytes()));
    files(&dir.path().join("data"), &mut traces);
    for (canary, form) in CANARIES.iter().flat_map(|canary| forms(canary).into_iter().map(move |form| (canary, form))) {
        for (name, trace) in &traces {
            assert!(!contains(trace, &form), "{name} contains {canary} as {}", String::from_utf8_lossy(&form));
        }
    }
    // The search finds what was never secret, in an answer and in a file.
    let found = traces.iter().filter(|(_, trace)| contains(trace, CONTROL.as_bytes()));
    let names: BTreeSet<_> = found.map(|(name, _)| name.as_str()).collect();
    let data = dir.path().join("data").display().to_string();
    assert!(names.iter().any(|name| name.starts_with(&data)), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("/v1/")), "{names:?}");
}

#[test]
fn the_forms_of_a_text_are_found_at_any_alignment() {
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "x", "xy"] {
            let text = format!("{before}{}{after}", CANARIES[0]);
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                assert!(forms(CANARIES[0]).iter().any(|form| contains(encoded.as_bytes(), form)), "{encoded}");
            }
        }
    }
}
