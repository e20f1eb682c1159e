//! Commands against a real host, from an upload to the ledger's check.

use std::path::Path;

use serde_json::Value;

use crate::program::{Called, Served, call};

/// A module's folder with a component that is built already.
fn project(folder: &Path, name: &str, component: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(component, folder.join("component.wasm")).unwrap();
    let manifest = format!(
        "[module]\nname = \"{name}\"\nversion = \"0.1.0\"\ncomponent = \"component.wasm\"\n\
         [[schedule]]\nname = \"yearly\"\ncron = \"0 0 1 1 *\"\n"
    );
    std::fs::write(folder.join("tidemill.toml"), manifest).unwrap();
}

fn json(called: &Called) -> Value {
    assert_eq!(called.code, 0, "{called:?}");
    serde_json::from_str(&called.stdout).unwrap()
}

#[test]
fn a_module_is_deployed_run_looked_at_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hello");
    project(&module, "hello", tidemill_artifacts::hello());
    let host = Served::start(&folder.path().join("data"), &[], None);

    let empty = host.call(&["runs"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""));
    assert_eq!(empty.stderr, "no runs: start one with `tidemill run NAME`\n");

    let missing = host.call(&["run", "hello", "--wait"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""));
    assert!(
        missing.stderr.contains("code: host/deployment-not-found (`tidemill explain host/deployment-not-found`)"),
        "{missing:?}"
    );

    let deployed = host.call(&["deploy", module.to_str().unwrap()]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert!(deployed.stdout.starts_with("hello deployed"), "{deployed:?}");
    assert!(deployed.stdout.contains("  yearly (UTC) fires\n"), "{deployed:?}");
    let again = host.call(&["deploy", module.to_str().unwrap()]);
    assert_eq!(again.stdout.lines().next(), Some("hello is unchanged, revision 1"), "{again:?}");

    let run = host.call(&["run", "hello", "--input", r#"{"name": "Ada"}"#, "--wait"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).unwrap()["message"], "Hello, Ada!");

    let first = host.call(&["run", "hello", "--key", "once"]);
    let second = host.call(&["run", "hello", "--key", "once"]);
    assert_eq!((first.code, &first.stdout), (0, &second.stdout));

    let later =
        json(&host.call(&["run", "hello", "--priority", "9", "--delay", "1h 30m", "--label", "a=b c", "--json"]));
    assert_eq!(
        (&later["state"], &later["priority"], &later["labels"]["a"]),
        (&"queued".into(), &9.into(), &"b c".into())
    );
    assert_eq!(host.call(&["cancel", later["id"].as_str().unwrap()]).code, 0);
    assert_eq!(host.call(&["run", "hello", "--priority", "10"]).code, 2);

    let runs = json(&host.call(&["runs", "--deployment", "hello", "--json"]));
    let id = runs.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    let info = host.call(&["run-info", &id]);
    assert!(info.stdout.contains("state       succeeded"), "{info:?}");
    assert!(host.call(&["logs", &id]).stdout.contains("Hello, Ada!"));
    assert!(host.call(&["logs", "--follow", &id]).stdout.contains("Hello, Ada!"));
    let explained = host.call(&["explain", &id]);
    assert!(explained.code == 0 && explained.stdout.contains("why   it succeeded at "), "{explained:?}");
    assert_eq!(json(&host.call(&["explain", &id, "--json"]))["state"], "succeeded");
    let ended = host.call(&["cancel", &id]);
    assert!(ended.code == 1 && ended.stderr.contains("host/run-state"), "{ended:?}");

    let triggered = host.call(&["schedules", "trigger", "hello", "yearly"]);
    assert_eq!((triggered.code, triggered.stdout.trim().len()), (0, 26), "{triggered:?}");
    assert!(host.call(&["schedules", "pause", "hello", "yearly", "--note", "holidays"]).code == 0);
    assert!(host.call(&["schedules"]).stdout.contains("paused: holidays"));
    assert!(host.call(&["schedules", "resume", "hello", "yearly"]).code == 0);
    let paused = host.call(&["schedules", "pause", "--deployment", "hello", "--note", "moving"]);
    assert!(paused.code == 0 && paused.stdout.contains("1 schedules found, 1 paused"), "{paused:?}");
    assert!(host.call(&["schedules"]).stdout.contains("paused: moving"));
    assert_eq!(host.call(&["schedules", "pause", "--all"]).code, 1, "it is paused already");
    assert_eq!(host.call(&["schedules", "resume", "--all"]).code, 0);
    assert_eq!(host.call(&["schedules", "pause", "hello"]).code, 2, "a schedule has two names");
    let firings = host.call(&["schedules", "firings", "hello", "yearly"]);
    assert_eq!((firings.code, firings.stdout.as_str()), (0, ""), "{firings:?}");
    let range = [
        "schedules",
        "backfill",
        "hello",
        "yearly",
        "--start",
        "2020-01-01T00:00:00Z",
        "--end",
        "2024-06-01T00:00:00Z",
    ];
    let plan = host.call(&[range.as_slice(), &["--dry-run"]].concat());
    assert!(plan.stdout.starts_with("5 firings, from 2020-01-01T"), "{plan:?}");
    let filled = host.call(&[range.as_slice(), &["--overlap", "allow", "--wait"]].concat());
    assert!(filled.code == 0 && filled.stdout.contains("5 firings found, 5 made a run"), "{filled:?}");
    assert_eq!(host.call(&["schedules", "preview", "hello", "yearly", "-n", "3"]).stdout.lines().count(), 3);

    let limited = format!("{}limit = 2\n", std::fs::read_to_string(module.join("tidemill.toml")).unwrap());
    std::fs::write(module.join("tidemill.toml"), &limited).unwrap();
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    let preview = host.call(&["schedules", "preview", "hello", "yearly"]);
    assert_eq!(
        (preview.stdout.lines().count(), &*preview.stderr),
        (2, "it fires no more after that: its limit is reached\n")
    );

    std::fs::write(module.join("tidemill.toml"), format!("{limited}export = \"revenue-stream\"\n")).unwrap();
    for verb in ["check", "deploy"] {
        let unfit = host.call(&[verb, module.to_str().unwrap()]);
        let place =
            "/schedules/0/export: host/unknown-export: the component has no export `revenue-stream`; it has: workflow";
        assert!(unfit.code == 1 && unfit.stderr.contains(place), "{unfit:?}");
    }

    assert_eq!(json(&host.call(&["deployments", "show", "hello"]))["manifest"]["priority"], 5);
    assert!(host.call(&["modules"]).stdout.contains("sha256:"));
    assert!(host.call(&["deployments", "pause", "hello"]).code == 0);
    assert!(host.call(&["deployments"]).stdout.contains("paused"));
    assert!(host.call(&["deployments", "resume", "hello"]).code == 0);
    assert_eq!(host.call(&["ledger", "check"]).code, 0);
    assert_eq!(host.call(&["streams"]).code, 0);
    let deleted = host.call(&["deployments", "delete", "hello", "--cancel-runs"]);
    assert_eq!((deleted.code, deleted.stdout.as_str()), (0, "hello deleted\n"), "{deleted:?}");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_failed_run_is_exit_code_1_with_its_code_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hostile");
    project(&module, "hostile", tidemill_artifacts::hostile());
    let host = Served::start(&folder.path().join("data"), &[], None);
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    let run = host.call(&["run", "hostile", "--input", r#"{"do": "no-such-act"}"#, "--wait"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains("error: run ") && run.stderr.contains("bad-input"), "{run:?}");
    let run = host.call(&["run", "hostile", "--input", r#"{"do": "recurse"}"#, "--wait"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains("code: host/stack-overflow (`tidemill explain host/stack-overflow`)"), "{run:?}");
    assert!(run.stderr.contains("\nfix: "), "{run:?}");
}

#[test]
fn what_a_component_lacks_is_said_without_a_host() {
    let good = call(&["check", tidemill_artifacts::hello().to_str().unwrap(), "--json"]);
    assert_eq!(json(&good)["exports"][0], "workflow");
    let folder = tempfile::tempdir().unwrap();
    let noise = folder.path().join("noise.wasm");
    std::fs::write(&noise, [7; 200]).unwrap();
    let bad = call(&["check", noise.to_str().unwrap()]);
    assert_eq!((bad.code, bad.stdout.as_str()), (1, ""));
    assert!(bad.stderr.contains("code: host/component-invalid"), "{bad:?}");
    let manifest =
        "module = \"m@1.0.0\"\n[[schedule]]\nname = \"nightly\"\ncron = \"30 2 * * *\"\ntime_zone = \"Europe/Berlin\"";
    std::fs::write(folder.path().join("tidemill.toml"), manifest).unwrap();
    let project = call(&["check", folder.path().to_str().unwrap()]);
    assert_eq!(project.code, 0, "{project:?}");
    assert!(project.stdout.contains("  nightly (Europe/Berlin) fires\n"), "{project:?}");
    assert!(project.stdout.lines().count() >= 22, "{project:?}");
}

#[test]
fn a_token_opens_and_its_absence_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let host = Served::start(&folder.path().join("data"), &[], Some(token));
    let closed = host.call(&["runs"]);
    assert!(closed.code == 1 && closed.stderr.contains("host/unauthorised"), "{closed:?}");
    assert_eq!(host.call(&["runs", "--token-file", file.to_str().unwrap()]).code, 0);
}

#[test]
fn a_folder_belongs_to_one_host_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let host = Served::start(&data, &[], None);
    let second = call(&["serve", "--addr", "127.0.0.1:0", "--log", "error", "--data", data.to_str().unwrap()]);
    assert!(second.code == 1 && second.stderr.contains("code: host/store-locked"), "{second:?}");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_host_ends_in_its_time_and_leaves_what_runs_to_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let (module, data) = (folder.path().join("hostile"), folder.path().join("data"));
    project(&module, "hostile", tidemill_artifacts::hostile());
    let endless = "\n[limits]\nfuel = 1_000_000_000_000\nactive = \"10m\"\n";
    let manifest = std::fs::read_to_string(module.join("tidemill.toml")).unwrap();
    std::fs::write(module.join("tidemill.toml"), manifest + endless).unwrap();

    let host = Served::start(&data, &["--shutdown", "3s"], None);
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    let run = host.call(&["run", "hostile", "--input", r#"{"do": "loop"}"#]);
    assert_eq!(run.code, 0, "{run:?}");
    let id = run.stdout.trim().to_owned();
    for _ in 0..200 {
        if host.call(&["run-info", &id]).stdout.contains("state       running") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let asked = tidemill_core::clock::Stopwatch::start();
    assert_eq!(host.terminate(), 0);
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "{:?}", asked.elapsed());

    let host = Served::start(&data, &["--shutdown", "3s"], None);
    let again = host.call(&["run-info", &id]).stdout;
    assert!(again.contains("state       running") || again.contains("state       queued"), "{again}");
    assert_eq!(host.call(&["cancel", &id]).code, 0);
    assert_eq!(host.terminate(), 0);
}
