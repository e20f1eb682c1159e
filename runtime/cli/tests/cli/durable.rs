//! Runs that wait, receive signals, are retried and cancelled, one by one and many at once.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::TestHost;

/// A host with a deployment `acts`, whose runs carry out the acts in their input.
fn acts(folder: &Path) -> TestHost {
    let module = folder.join("acts");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::copy(tidemill_artifacts::durable(), module.join("component.wasm")).unwrap();
    let manifest = "[module]\nname = \"acts\"\nversion = \"0.1.0\"\ncomponent = \"component.wasm\"\n\
                    [grants]\ndeployments = [\"acts\"]\n";
    std::fs::write(module.join("tidemill.toml"), manifest).unwrap();
    let host = TestHost::start(&folder.join("data"), &[], None);
    let deployed = host.call(&["deploy", module.to_str().unwrap()]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    host
}

/// Starts a run with these acts; returns its id.
fn asked(host: &TestHost, key: &str, acts: &Value) -> String {
    let run = host.call(&["run", "acts", "--key", key, "--input", &json!({ "acts": acts }).to_string()]);
    assert_eq!(run.code, 0, "{run:?}");
    run.stdout.trim().to_owned()
}

/// Waits until a run is in that state; returns its record.
fn until(host: &TestHost, id: &str, state: &str) -> Value {
    for _ in 0..400 {
        let info: Value = serde_json::from_str(&host.call(&["runs", "show", id, "--json"]).stdout).unwrap();
        if info["state"] == state {
            return info;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{id} did not come to be {state}: {:?}", host.call(&["runs", "show", id]));
}

#[test]
fn pending_signals_are_listed_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let host = acts(folder.path());
    let waits = json!({"do": "await-first", "any_of": ["paid"], "timeout": null});
    let id = asked(&host, "order-7", &json!([waits]));
    until(&host, &id, "suspended");
    let nothing = host.call(&["runs", "signals", &id]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (0, ""), "{nothing:?}");
    for payload in ["1", "\"two\""] {
        assert_eq!(host.call(&["runs", "signal", &id, "other", "--payload", payload]).code, 0);
    }
    let listed = host.call(&["runs", "signals", &id]).stdout;
    assert!(listed.starts_with("PLACE") && listed.contains("other") && listed.contains("\"two\""), "{listed}");
    assert_eq!(host.call(&["runs", "signals", &id, "--drop", "0"]).code, 0);
    let left: Vec<Value> = serde_json::from_str(&host.call(&["runs", "signals", &id, "--json"]).stdout).unwrap();
    assert_eq!((left.len(), &left[0]["place"], &left[0]["payload"]), (1, &json!(1), &json!("two")));
    let gone = host.call(&["runs", "signals", &id, "--drop", "0"]);
    assert!(gone.code == 1 && gone.stderr.contains("host/signal-not-found"), "{gone:?}");
}

#[test]
fn a_run_with_failed_compensation_is_listed_until_it_is_dismissed() {
    let folder = tempfile::tempdir().unwrap();
    let host = acts(folder.path());
    let undo = json!({"do": "step", "name": "give back", "attempts": 2, "fail_until": 9, "acts": []});
    let input = json!({"acts": [{"do": "sleep", "ms": 600_000}], "undo": [undo]}).to_string();
    let id = host.call(&["run", "acts", "--input", &input]).stdout.trim().to_owned();
    until(&host, &id, "suspended");
    assert_eq!(host.call(&["runs", "cancel", &id]).code, 0);
    until(&host, &id, "cancelled");
    let info = host.call(&["runs", "show", &id]).stdout;
    let shown: Vec<&str> = info.lines().skip_while(|line| *line != "failures").skip(1).collect();
    assert!(shown[0].contains("step give back attempt 1"), "{info}");
    assert!(shown[1].contains("step give back attempt 2") && shown[2].contains("cancellation"), "{info}");
    let parked = host.call(&["runs", "parked"]).stdout;
    assert!(parked.contains(&id) && parked.contains("cancelled"), "{parked}");
    let explained = host.call(&["runs", "explain", &id]).stdout;
    assert!(explained.contains("could not undo"), "{explained}");
    assert_eq!(host.call(&["runs", "cancel", &id]).code, 0);
    assert!(!host.call(&["runs", "parked"]).stdout.contains(&id));
}

#[test]
fn a_waiting_run_is_shown_and_receives_signals() {
    let folder = tempfile::tempdir().unwrap();
    let host = acts(folder.path());
    let child = json!({"do": "start", "deployment": "acts", "input": {"acts": [{"do": "sleep", "ms": 600_000}]}});
    let waits = json!({"do": "await-first", "any_of": ["paid"], "timeout": null});
    let id = asked(&host, "order-7", &json!([{"do": "step", "name": "charge", "acts": []}, child, waits]));
    let info = until(&host, &id, "suspended");
    assert_eq!(info["waiting_for"], json!({"any_of": [{"signal": "paid"}]}));
    assert_eq!(info["children"][0]["deployment"], "acts");

    let text = host.call(&["runs", "show", &id]).stdout;
    for part in ["state       suspended", "waits for   signal paid", "\nchildren\n", "\njournal     ", "step-done"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let listed = host.call(&["runs", "list", "--state", "suspended"]).stdout;
    assert!(listed.contains("signal paid") && listed.contains("until 2"), "{listed}");
    assert!(host.call(&["runs", "list", "--parent", &id]).stdout.contains("parent"));
    let journal = host.call(&["runs", "journal", &id]);
    assert!(journal.stdout.starts_with("SEQ") && journal.stdout.contains("charge"), "{journal:?}");
    let entries: Vec<Value> = serde_json::from_str(&host.call(&["runs", "journal", &id, "--json"]).stdout).unwrap();
    assert_eq!((&entries[0]["kind"], &entries[0]["step"]), (&json!("step-done"), &json!("charge")), "{entries:?}");
    let rest: Vec<Value> =
        serde_json::from_str(&host.call(&["runs", "journal", &id, "--after", "1", "--json"]).stdout).unwrap();
    assert_eq!(rest[..], entries[1..]);

    let unknown = host.call(&["runs", "signal", "acts/order-8", "paid"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("host/run-not-found"), "{unknown:?}");
    let sent = host.call(&["runs", "signal", "acts/order-7", "other", "--payload", "1", "--key", "evt_1"]);
    assert_eq!((sent.code, sent.stdout), (0, format!("other sent to {id}\n")));
    let again = host.call(&["runs", "signal", &id, "other", "--payload", "1", "--key", "evt_1"]);
    assert_eq!((again.code, again.stdout), (0, format!("other had come before to {id}\n")));
    let sent = host.call(&["runs", "signal", &id, "paid", "--payload", r#"{"amount": 1999}"#]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let ended = until(&host, &id, "succeeded");
    assert!(ended["output"].to_string().contains("1999"), "{ended}");
    // Its child ends with it.
    until(&host, ended["children"][0]["id"].as_str().unwrap(), "cancelled");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn one_command_retries_and_cancels_runs() {
    let folder = tempfile::tempdir().unwrap();
    let host = acts(folder.path());
    let fails = json!([{"do": "now"}, {"do": "fail", "code": "no-luck"}]);
    let parked: Vec<_> = (0..3).map(|n| asked(&host, &format!("p{n}"), &fails)).collect();
    for id in &parked {
        assert_eq!(until(&host, id, "parked")["attempt"], 1);
    }
    assert!(host.call(&["runs", "list", "--state", "parked"]).stdout.contains("no-luck"));
    let looked = host.call(&["runs", "retry", &parked[0], "--dry-run"]);
    assert_eq!((looked.code, looked.stdout), (0, format!("{} can be resumed\n", parked[0])));
    let unknown = host.call(&["runs", "retry", &parked[0], "--component", "acts@9.0.0"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("host/module-not-found"), "{unknown:?}");
    let again = host.call(&["runs", "retry", &parked[0], "--from-start"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(until(&host, &parked[0], "parked")["attempt"], 2);

    let all = host.call(&["runs", "retry", "--all", "--deployment", "acts"]);
    assert_eq!((all.code, all.stdout.as_str()), (0, "3 runs found, 3 retried\n"), "{all:?}");
    for (id, attempt) in parked.iter().zip([3, 2, 2]) {
        assert_eq!(until(&host, id, "parked")["attempt"], attempt);
    }
    let waits = asked(&host, "w", &json!([{"do": "sleep", "ms": 600_000}]));
    until(&host, &waits, "suspended");
    let one = host.call(&["runs", "cancel", &waits, "--terminate"]);
    assert_eq!((one.code, one.stdout), (0, format!("{waits} cancelled\n")));
    let all = host.call(&["runs", "cancel", "--all", "--state", "parked", "--json"]);
    let operation: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!((&operation["state"], &operation["done"]), (&json!("done"), &json!(3)), "{all:?}");
    for id in &parked {
        until(&host, id, "cancelled");
    }
    assert_eq!(host.terminate(), 0);
}
