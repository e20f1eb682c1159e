//! Latency of two hundred healthy runs a second while hostile runs are active.

use serde_json::{Value, json};

use crate::host::Host;
use crate::oha::{self, Load};
use crate::table::Table;

/// Hostile runs: name, input and limits. Each is started again as soon as it has ended.
fn acts() -> Vec<(&'static str, Value, Value)> {
    let spin = json!({ "fuel": 1_000_000_000_000_u64, "active": "20s" });
    vec![
        ("nothing", Value::Null, json!({})),
        ("one that loops for ever", json!({ "do": "loop" }), spin.clone()),
        ("one that allocates without end", json!({ "do": "allocate" }), json!({})),
        ("one that recurses", json!({ "do": "recurse" }), json!({})),
        ("one that logs gigabytes", json!({ "do": "log" }), json!({})),
        ("one that passes 2 MiB to state.set", json!({ "do": "big-state" }), json!({})),
        ("one that passes 100 MB to state.set", json!({ "do": "huge-state" }), json!({ "memory": "256MiB" })),
        ("one that traps", json!({ "do": "trap" }), json!({})),
    ]
}

pub async fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.upload("noop", tidemill_artifacts::noop()).await;
    host.deploy("healthy", &json!({ "module": "noop@1.0.0", "health": { "enabled": false } })).await;
    let url = host.url("/v1/deployments/healthy/runs");
    for (number, (name, act, limits)) in acts().into_iter().enumerate() {
        let hostile = format!("hostile-{number}");
        let retry = json!({ "attempts": 1, "then": "fail" });
        host.deploy_hostile(&hostile, json!({ "limits": limits, "retry": retry, "breaker": false })).await;
        let mut medians = Vec::new();
        for _ in 0..3 {
            let neighbour = async {
                if act.is_null() {
                    std::future::pending::<()>().await;
                }
                loop {
                    host.invoke(&hostile, &act).await;
                }
            };
            let load = oha::post(url.clone(), "{}", Load::Rate { per_second: 200 }, 5);
            let seen = tokio::select! { seen = load => seen, () = neighbour => unreachable!("it never ends") };
            assert_eq!(seen.failed, 0, "healthy runs next to {name} failed");
            medians.push(seen.p99);
            end_all(&host, &hostile).await;
        }
        medians.sort_by(f64::total_cmp);
        table.row(
            format!("200 healthy runs a second next to {name}"),
            format!("p99 {:.2} ms (median of three: {:.2} to {:.2})", medians[1], medians[0], medians[2]),
            "p99 < 5 ms",
        );
    }
    for (name, bytes) in [("40 MB of valid wasm", padded(40_000_000)), ("a compiler bomb", bomb())] {
        let mut medians = Vec::new();
        for round in 0..3 {
            let upload = async {
                host.upload_bytes(&format!("big-{round}-{}", bytes.len()), bytes.clone()).await;
                std::future::pending::<()>().await;
            };
            let load = oha::post(url.clone(), "{}", Load::Rate { per_second: 200 }, 8);
            let seen = tokio::select! { seen = load => seen, () = upload => unreachable!("it never ends") };
            assert_eq!(seen.failed, 0, "healthy runs next to {name} failed");
            medians.push(seen.p99);
        }
        medians.sort_by(f64::total_cmp);
        table.row(
            format!("200 healthy runs a second during the upload of {name}"),
            format!("p99 {:.2} ms (median of three)", medians[1]),
            "p99 < 5 ms",
        );
    }
}

/// Cancels the runs of the deployment, so that the next measurement has only one neighbour. A run
/// does not end if its caller disconnects.
async fn end_all(host: &Host, deployment: &str) {
    loop {
        let runs = host.get(&format!("/v1/runs?deployment={deployment}&state=running")).await;
        let Some(run) = runs["items"].as_array().and_then(|runs| runs.first()) else { return };
        let id = run["id"].as_str().unwrap();
        let _ = host.http.post(host.url(&format!("/v1/runs/{id}/cancel?terminate=true"))).send().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A valid component that a custom section extends to `size` bytes.
fn padded(size: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(tidemill_artifacts::noop()).unwrap();
    let name = b"padding";
    let content = size - bytes.len();
    bytes.push(0);
    leb128(&mut bytes, content as u64);
    leb128(&mut bytes, name.len() as u64);
    bytes.extend_from_slice(name);
    bytes.resize(bytes.len() + content - name.len() - 1, 0);
    bytes
}

/// A component with one large function whose compilation takes minutes.
fn bomb() -> Vec<u8> {
    let mut body = String::new();
    for _ in 0..400_000 {
        body.push_str("local.get 0 local.get 0 i64.mul local.get 0 i64.xor local.set 0 ");
    }
    let text = format!("(component (core module (func (param i64) {body})))");
    wat::parse_str(text).unwrap()
}

fn leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}
