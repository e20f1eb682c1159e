//! The health of deployments on the real binary: checks of a real guest, signals of its runs, and a
//! status that survives a kill.

use std::process::Command;

use serde_json::{Value, json};

use crate::host::Host;

fn manifest(health: &str) -> Value {
    json!({ "config": { "health": health }, "health": { "every": "1s" }, "retry": "never" })
}

impl Host {
    async fn wait_until_health_is(&self, name: &str, status: &str) -> Value {
        let path = format!("/v1/health/deployments/{name}");
        self.wait_until_path(&path, |health| health["status"] == status).await;
        self.get(&path).await
    }

    async fn history(&self, name: &str) -> Vec<String> {
        let page = self.get(&format!("/v1/health/deployments/{name}/transitions")).await;
        page["items"].as_array().unwrap().iter().map(|it| it["to"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_follows_the_checks_and_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    for (name, health) in [("good", "healthy"), ("bad", "unhealthy"), ("traps", "trap"), ("loops", "loop")] {
        host.deploy_hostile(name, manifest(health)).await;
    }
    let good = host.wait_until_health_is("good", "healthy").await;
    assert_eq!((&good["checked"], &good["every_ms"]), (&json!(true), &json!(1_000)), "{good}");
    let bad = host.wait_until_health_is("bad", "unhealthy").await;
    assert_eq!(bad["reason"], "as asked", "{bad}");
    let traps = host.wait_until_health_is("traps", "unhealthy").await;
    assert_eq!(traps["results"][0]["code"], "host/trap", "{traps}");
    let loops = host.wait_until_health_is("loops", "unhealthy").await;
    let code = loops["results"][0]["code"].as_str().unwrap();
    assert!(["host/limit-fuel", "host/limit-active"].contains(&code), "{loops}");
    assert_eq!(host.history("bad").await, ["unhealthy"]);
    host.kill();
    host.resume().await;
    let health = host.get("/v1/health/deployments/bad").await;
    let state = |health: &Value| [&health["status"], &health["since"], &health["reason"]].map(Value::clone);
    assert_eq!(state(&health), state(&bad));
    host.deploy_hostile("bad", manifest("healthy")).await;
    host.wait_until_health_is("bad", "healthy").await;
    assert_eq!(host.history("bad").await, ["healthy", "unhealthy"]);
    let listed = host.get("/v1/health/deployments?status=unhealthy").await;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|it| it["deployment"].clone()).collect();
    assert_eq!(names, [json!("loops"), json!("traps")]);
    assert!(host.get("/v1/runs").await["items"].as_array().unwrap().is_empty(), "a check leaves no run");
    assert!((host.metric("tidemill_health", "traps").await - 3.0).abs() < f64::EPSILON);
    let shown = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["health", "show", "traps"])
        .env("TIDEMILL_URL", host.url(""))
        .env_remove("TIDEMILL_TOKEN")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("traps is unhealthy since ") && shown.contains("last checks:"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_module_is_unhealthy_by_its_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.deploy_hostile("shop", json!({ "health": { "every": "1s", "enabled": false }, "retry": "never" })).await;
    for _ in 0..20 {
        host.invoke("shop", &json!({ "do": "echo", "value": 1 })).await;
    }
    host.wait_until_health_is("shop", "healthy").await;
    let path = "/v1/health/deployments/shop";
    loop {
        host.try_invoke("shop", &json!({ "do": "trap" })).await;
        let health = host.get(path).await;
        if health["status"] == "unhealthy" {
            assert!(health["reason"].as_str().unwrap().contains("attempts failed"), "{health}");
            break;
        }
    }
}
