//! A host under test: the real binary on its own folder and a free port, with a client of its API.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Maximum time to wait for anything. A run that meets an open circuit waits for a minute.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A running host. Dropping it kills the process.
pub struct Host {
    process: Option<Child>,
    dir: PathBuf,
    /// Port of the present process. Each process takes a free one, because another program may take
    /// the port between two processes.
    port: u16,
    log: PathBuf,
    env: Vec<(&'static str, String)>,
    wrapper: Vec<String>,
    pub http: reqwest::Client,
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// The command that runs a host on `dir`, on a free port.
pub fn serve(dir: &Path) -> Command {
    serve_within(&[], dir)
}

/// As [`serve`], through a wrapper command that executes its last arguments.
fn serve_within(wrapper: &[String], dir: &Path) -> Command {
    let mut words = wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_tidemill")]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("serve").env("TIDEMILL_DATA", dir).env("TIDEMILL_ADDR", "127.0.0.1:0");
    command.env_remove("TIDEMILL_TOKEN").current_dir(dir.parent().unwrap()).stdin(Stdio::null());
    command
}

impl Host {
    /// Starts a host and waits until it is ready.
    pub async fn start(dir: &Path) -> Self {
        let mut host = Self::not_started(dir);
        host.resume().await;
        host
    }

    /// Creates a host with a folder and without a process.
    pub fn not_started(dir: &Path) -> Self {
        let (dir, log) = (dir.join("data"), dir.join("host.log"));
        Self { process: None, dir, port: 0, log, env: Vec::new(), wrapper: Vec::new(), http: client() }
    }

    /// Sets additional environment variables of the next process.
    pub fn set_env(&mut self, env: Vec<(&'static str, String)>) {
        self.env = env;
    }

    /// Sets a command that executes the host as its last action.
    pub fn set_wrapper(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    /// Starts a process on the folder and waits until it is ready.
    pub async fn resume(&mut self) {
        if let Err(status) = self.try_resume().await {
            panic!("the host ended with {status}:\n{}", self.output());
        }
    }

    /// As [`Self::resume`]; returns the exit status if the process ends before it is ready.
    pub async fn try_resume(&mut self) -> Result<(), ExitStatus> {
        assert!(self.process.is_none(), "the host is running");
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let length_before = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let mut command = serve_within(&self.wrapper, &self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = command.spawn().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(port) = port_in(&self.output()[length_before..])
                && let Ok(answer) = self.http.get(format!("http://127.0.0.1:{port}/readyz")).send().await
                && answer.status().is_success()
            {
                self.port = port;
                break;
            }
            if let Some(status) = process.try_wait().unwrap() {
                return Err(status);
            }
            assert!(begun.elapsed() < PATIENCE, "the host did not get ready:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Whether the process has ended. If so, [`Self::resume`] can start another one.
    pub fn has_died(&mut self) -> bool {
        let died = self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some());
        if died {
            self.process = None;
        }
        died
    }

    /// Output of all processes so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Sends SIGTERM to the process and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let pid = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the host did not stop:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        assert!(answer.status().is_success(), "GET {path}: {}", answer.text().await.unwrap());
        answer.json_value().await
    }

    /// Value of a metric of a deployment; zero if `/metrics` does not contain it.
    pub async fn metric(&self, name: &str, deployment: &str) -> f64 {
        let text = self.http.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let label = format!("deployment=\"{deployment}\"");
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Checks the ledger, and returns the result.
    pub async fn check_ledger(&self) -> Value {
        let answer = self.http.post(self.url("/v1/ledger/check")).send().await.unwrap();
        assert!(answer.status().is_success());
        answer.json_value().await
    }

    /// Grants a customer of a stream some euro cents, which are valid at any time.
    pub async fn grant(&self, stream: &str, customer: &str, cents: u64) {
        let grant = json!({ "external_id": format!("grant-{customer}"), "stream": stream, "customer": customer,
            "amount": format!("{}.{:02}", cents / 100, cents % 100), "currency": "EUR", "kind": "prepayment",
            "reason": "a test", "occurred_at": "1970-01-01T00:00:00Z" });
        let request = self.http.post(self.url("/v1/ledger/grants")).header("content-type", "application/json");
        assert!(request.body(grant.to_string()).send().await.unwrap().status().is_success());
    }

    /// Returns what the customer with this query has available, and what is held, in minor units.
    pub async fn balance(&self, query: &str) -> (i64, i64) {
        let list = self.get(&format!("/v1/ledger/balances?customer={query}")).await;
        let amount = |name: &str| list["items"][0][name]["minor_units"].as_i64().unwrap();
        (amount("available"), amount("held"))
    }

    /// Uploads a component as `name@1.0.0`.
    pub async fn upload(&self, name: &str, component: &Path) -> (u16, Value) {
        self.upload_bytes(name, std::fs::read(component).unwrap()).await
    }

    pub async fn upload_bytes(&self, name: &str, bytes: Vec<u8>) -> (u16, Value) {
        let path = self.url(&format!("/v1/modules/{name}/versions/1.0.0"));
        let answer = self.http.put(path).body(bytes).send().await.unwrap();
        (answer.status().as_u16(), answer.json_value().await)
    }

    /// Creates or changes a deployment. Panics if the host refuses.
    pub async fn deploy(&self, name: &str, manifest: &Value) -> Value {
        let request = self.http.put(self.url(&format!("/v1/deployments/{name}")));
        let answer =
            request.header("content-type", "application/json").body(manifest.to_string()).send().await.unwrap();
        let status = answer.status();
        let body = answer.json_value().await;
        assert!(status.is_success(), "deploying {name}: {body}");
        body
    }

    /// Deploys the hostile guest as `name`; `more` extends its manifest.
    pub async fn deploy_hostile(&self, name: &str, more: Value) {
        let (status, answer) = self.upload("hostile", tidemill_artifacts::hostile()).await;
        assert!(status == 200 || status == 201, "{answer}");
        let mut manifest = json!({ "module": "hostile@1.0.0", "grants": { "ledger": true } });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.deploy(name, &manifest).await;
    }

    /// Deploys the survivor guest as `name`.
    pub async fn deploy_survivor(&self, name: &str, concurrency: u32) {
        let (status, answer) = self.upload("survivor", tidemill_artifacts::survivor()).await;
        assert!(status == 200 || status == 201, "{answer}");
        let manifest = json!({
            "module": "survivor@1.0.0",
            "concurrency": concurrency,
            "health": { "enabled": false },
        });
        self.deploy(name, &manifest).await;
    }

    /// Waits until no run is in any of `states`.
    pub async fn wait_until_none_is(&self, states: &[&str], patience: Duration) {
        let begun = Instant::now();
        for state in states {
            loop {
                let page = self.get(&format!("/v1/runs?limit=1&state={state}")).await;
                if page["items"] == json!([]) {
                    break;
                }
                assert!(begun.elapsed() < patience, "still {state}: {}\n{}", page["items"][0], self.output());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until `holds` is true of the answer to `GET path`.
    pub async fn wait_until_path(&self, path: &str, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if holds(&answer) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} stays {answer}\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn run_request(&self, name: &str, input: &Value) -> reqwest::RequestBuilder {
        let request = self.http.post(self.url(&format!("/v1/deployments/{name}/runs")));
        request.header("content-type", "application/json").body(input.to_string())
    }

    /// Starts a run, waits for its end, and returns its record.
    pub async fn invoke(&self, name: &str, input: &Value) -> Value {
        let (status, run) = self.try_invoke(name, input).await;
        assert_eq!(status, 200, "{run}");
        run
    }

    /// As [`Self::invoke`], and accepts any status.
    pub async fn try_invoke(&self, name: &str, input: &Value) -> (u16, Value) {
        let answer = self.run_request(name, input).header("prefer", "wait=50").send().await.unwrap();
        (answer.status().as_u16(), answer.json_value().await)
    }

    /// Requests a run under a key until the host has acknowledged it, and returns its id. The host
    /// may be killed in between.
    pub async fn request_surely(&self, name: &str, key: &str, input: &Value) -> String {
        let begun = Instant::now();
        loop {
            let sent = self.run_request(name, input).header("idempotency-key", key).send().await;
            if let Ok(answer) = sent
                && answer.status().is_success()
                && let Ok(body) = answer.text().await
            {
                let run: Value = serde_json::from_str(&body).unwrap();
                return run["id"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "the host does not answer:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the run has ended or is parked, and returns its record.
    pub async fn settled(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).await;
            if ["succeeded", "failed", "cancelled", "parked"].contains(&run["state"].as_str().unwrap()) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "the run does not end: {run}\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The port in the line that a host prints when it listens; `None` if the line is incomplete.
fn port_in(output: &str) -> Option<u16> {
    let (line, _) = output.split_once("tidemill is up at http://127.0.0.1:")?.1.split_once('\n')?;
    // In a JSON log, more text follows the port.
    line.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

trait JsonAnswer {
    async fn json_value(self) -> Value;
}

impl JsonAnswer for reqwest::Response {
    async fn json_value(self) -> Value {
        let text = self.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("no JSON ({e}): {text}"))
    }
}

/// A pseudo-random generator. The same seed gives the same numbers.
pub fn pseudo_random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}
