//! Commands against a real host, from an upload to the check of the ledger.

use std::path::Path;

use serde_json::Value;

use crate::program::{CallOutcome, TestHost, call};

/// A module's folder with a component that is already built.
fn project(folder: &Path, name: &str, component: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(component, folder.join("component.wasm")).unwrap();
    let manifest = format!(
        "[module]\nname = \"{name}\"\nversion = \"0.1.0\"\ncomponent = \"component.wasm\"\n\
         [[schedule]]\nname = \"yearly\"\ncron = \"0 0 1 1 *\"\n"
    );
    std::fs::write(folder.join("tidemill.toml"), manifest).unwrap();
}

fn json(called: &CallOutcome) -> Value {
    assert_eq!(called.code, 0, "{called:?}");
    serde_json::from_str(&called.stdout).unwrap()
}

#[test]
fn a_schedule_beyond_a_stricter_policy_is_shown_as_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let (module, data, policy) =
        (folder.path().join("hello"), folder.path().join("data"), folder.path().join("policy"));
    project(&module, "hello", tidemill_artifacts::hello());
    let host = TestHost::start(&data, &[], None);
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    assert_eq!(json(&host.call(&["schedules", "list", "--json"]))[0]["state"], "active");
    assert_eq!(host.terminate(), 0);
    std::fs::write(&policy, "schedules.minimum_interval = \"366days\"").unwrap();
    let host = TestHost::start(&data, &["--policy", policy.to_str().unwrap()], None);
    let listed = host.call(&["schedules", "list"]).stdout;
    assert!(listed.contains("blocked: it fires") && listed.contains("the policy allows"), "{listed}");
    assert_eq!(json(&host.call(&["schedules", "list", "--json"]))[0]["state"], "blocked");
    let preview = host.call(&["schedules", "preview", "hello", "yearly"]);
    assert!(preview.stderr.contains("it does not fire: it is blocked"), "{preview:?}");
}

#[test]
fn a_module_is_deployed_run_inspected_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hello");
    project(&module, "hello", tidemill_artifacts::hello());
    let host = TestHost::start(&folder.path().join("data"), &[], None);

    let empty = host.call(&["runs", "list"]);
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
    assert!(run.stderr.starts_with("run 0"), "the id comes first: {run:?}");
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
    assert_eq!(host.call(&["runs", "cancel", later["id"].as_str().unwrap()]).code, 0);
    assert_eq!(host.call(&["run", "hello", "--priority", "10"]).code, 2);

    let runs = json(&host.call(&["runs", "list", "--deployment", "hello", "--json"]));
    let id = runs.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    let info = host.call(&["runs", "show", &id]);
    assert!(info.stdout.contains("state       succeeded"), "{info:?}");
    assert!(host.call(&["logs", &id]).stdout.contains("Hello, Ada!"));
    assert!(host.call(&["logs", "--follow", &id]).stdout.contains("Hello, Ada!"));
    let explained = host.call(&["runs", "explain", &id]);
    assert!(explained.code == 0 && explained.stdout.contains("why   it succeeded at "), "{explained:?}");
    assert_eq!(json(&host.call(&["runs", "explain", &id, "--json"]))["state"], "succeeded");
    for named in ["hello/once", &id[..20], &id[18..]] {
        assert_eq!(json(&host.call(&["runs", "show", named, "--json"]))["deployment"], "hello", "{named}");
    }
    assert_eq!(json(&host.call(&["runs", "show", "last", "--json"]))["id"], runs[0]["id"]);
    assert_eq!(json(&host.call(&["runs", "show", "hello/last", "--json"]))["id"], runs[0]["id"]);
    assert!(host.call(&["runs", "show", "0"]).stderr.contains("names more than one run"));
    for nothing in ["zzzz", "hello/never", "not an id"] {
        let none = host.call(&["runs", "show", nothing]);
        assert!(none.code == 1 && none.stderr.contains("host/run-not-found"), "{none:?}");
    }
    assert_eq!(json(&host.call(&["runs", "list", "--since", "1h", "--until", "now", "--json"])), runs);
    assert_eq!(json(&host.call(&["runs", "list", "--until", "yesterday", "--json"])), Value::Array(vec![]));
    let ended = host.call(&["runs", "cancel", &id]);
    assert!(ended.code == 1 && ended.stderr.contains("host/run-state"), "{ended:?}");

    let triggered = host.call(&["schedules", "trigger", "hello", "yearly"]);
    assert_eq!((triggered.code, triggered.stdout.trim().len()), (0, 26), "{triggered:?}");
    assert!(host.call(&["schedules", "pause", "hello", "yearly", "--note", "holidays"]).code == 0);
    assert!(host.call(&["schedules", "list"]).stdout.contains("paused: holidays"));
    assert!(host.call(&["schedules", "resume", "hello", "yearly"]).code == 0);
    let paused = host.call(&["schedules", "pause", "--deployment", "hello", "--note", "moving"]);
    assert!(paused.code == 0 && paused.stdout.contains("1 schedules found, 1 paused"), "{paused:?}");
    assert!(host.call(&["schedules", "list"]).stdout.contains("paused: moving"));
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
    let operations = json(&host.call(&["operations", "list", "--all", "--json"]));
    let backfill = operations.as_array().unwrap().iter().find(|one| one["action"] == "backfill").unwrap();
    let id = backfill["id"].as_str().unwrap();
    for verb in ["show", "cancel"] {
        let shown = host.call(&["operations", verb, id]);
        let text = format!("{id} (backfill, hello/yearly) is done: 5 of 5 firings found, 5 made a run\n");
        assert_eq!((shown.code, shown.stdout.as_str()), (0, text.as_str()), "{shown:?}");
    }
    assert!(host.call(&["operations", "list"]).stderr.contains("no operation is running"));
    let follows = host.call(&["schedules", "resync", "hello", "yearly"]);
    assert!(follows.code == 1 && follows.stderr.contains("host/run-state"), "{follows:?}");
    let resynced = host.call(&["schedules", "resync", "--all"]);
    assert_eq!((resynced.code, resynced.stdout.as_str()), (0, "0 schedules found, 0 resynced\n"), "{resynced:?}");
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
    assert!(host.call(&["modules", "list"]).stdout.contains("sha256:"));
    assert!(host.call(&["deployments", "pause", "hello"]).code == 0);
    assert!(host.call(&["deployments", "list"]).stdout.contains("paused"));
    assert!(host.call(&["deployments", "resume", "hello"]).code == 0);
    let head = || host.call(&["ledger", "head"]).stdout;
    assert!(head().contains(&"0".repeat(64)));
    credit(&host);
    budgets(&host, &module, &limited);
    assert!(!head().contains(&"0".repeat(64)));
    assert_eq!(host.call(&["ledger", "check"]).code, 0);
    for list in [&["ledger", "reservations"][..], &["ledger", "findings", "--kind", "late"], &["streams", "list"]] {
        assert_eq!(host.call(list).code, 0, "{list:?}");
    }
    let closed = host.call(&["ledger", "findings", "--close", "1", "--reason", "known"]);
    assert!(closed.code == 1 && closed.stderr.contains("host/finding-not-found"), "{closed:?}");
    assert_eq!(host.call(&["incidents", "--json"]).stdout.trim(), "[]");
    for command in [&["incidents", "show", "1"][..], &["incidents", "ack", "1", "--note", "I look at it"]] {
        let refused = host.call(command);
        assert!(refused.code == 1 && refused.stderr.contains("host/incident-not-found"), "{refused:?}");
    }
    let plan = host.call(&["deployments", "delete", "hello", "--cancel-runs", "--dry-run"]);
    assert!(plan.code == 0 && plan.stdout.starts_with("hello would be deleted with its state ("), "{plan:?}");
    let deleted = host.call(&["deployments", "delete", "hello", "--cancel-runs"]);
    let text = "hello deleted with its state; its runs and ledger entries stay\n";
    assert_eq!((deleted.code, deleted.stdout.as_str()), (0, text), "{deleted:?}");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_failed_run_is_exit_code_1_with_its_code_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hostile");
    project(&module, "hostile", tidemill_artifacts::hostile());
    let host = TestHost::start(&folder.path().join("data"), &[], None);
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
fn problems_of_a_component_are_listed_without_a_host() {
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
fn a_host_with_a_token_answers_only_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let host = TestHost::start(&folder.path().join("data"), &[], Some(token));
    let closed = host.call(&["runs", "list"]);
    assert!(closed.code == 1 && closed.stderr.contains("host/unauthorized"), "{closed:?}");
    assert_eq!(host.call(&["runs", "list", "--token-file", file.to_str().unwrap()]).code, 0);
}

#[test]
fn a_folder_belongs_to_one_host_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let host = TestHost::start(&data, &[], None);
    let second = call(&["serve", "--addr", "127.0.0.1:0", "--log", "error", "--data", data.to_str().unwrap()]);
    assert!(second.code == 1 && second.stderr.contains("code: host/store-locked"), "{second:?}");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_host_stops_in_time_and_leaves_running_runs_to_the_next_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (module, data) = (folder.path().join("hostile"), folder.path().join("data"));
    project(&module, "hostile", tidemill_artifacts::hostile());
    let endless = "\n[limits]\nfuel = 1_000_000_000_000\nactive = \"10m\"\n";
    let manifest = std::fs::read_to_string(module.join("tidemill.toml")).unwrap();
    std::fs::write(module.join("tidemill.toml"), manifest + endless).unwrap();

    let host = TestHost::start(&data, &["--shutdown", "3s"], None);
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    let run = host.call(&["run", "hostile", "--input", r#"{"do": "loop"}"#]);
    assert_eq!(run.code, 0, "{run:?}");
    let id = run.stdout.trim().to_owned();
    for _ in 0..200 {
        if host.call(&["runs", "show", &id]).stdout.contains("state       running") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let asked = tidemill_core::clock::Stopwatch::start();
    assert_eq!(host.terminate(), 0);
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "{:?}", asked.elapsed());

    let host = TestHost::start(&data, &["--shutdown", "3s"], None);
    let again = host.call(&["runs", "show", &id]).stdout;
    assert!(again.contains("state       running") || again.contains("state       queued"), "{again}");
    assert_eq!(host.call(&["runs", "cancel", &id]).code, 0);
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_new_build_under_an_old_version_is_refused_by_the_dry_run_too() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hello");
    project(&module, "hello", tidemill_artifacts::hello());
    let host = TestHost::start(&folder.path().join("data"), &[], None);
    let dir = module.to_str().unwrap();
    let first = host.call(&["deploy", dir, "--dry-run"]);
    assert!(first.code == 0 && first.stdout.starts_with("hello would be made\n"), "{first:?}");
    assert!(first.stderr.contains("hello@0.1.0 would be uploaded"), "{first:?}");
    assert!(first.stderr.contains("component.wasm (") && first.stderr.contains("sha256:"), "{first:?}");
    assert_eq!(host.call(&["deployments", "list"]).stdout, "", "nothing was changed");
    assert_eq!(host.call(&["deploy", dir]).code, 0);
    let same = host.call(&["deploy", dir, "--dry-run"]);
    assert!(same.code == 0 && same.stdout.starts_with("hello would not change"), "{same:?}");

    std::fs::copy(tidemill_artifacts::hostile(), module.join("component.wasm")).unwrap();
    let real = host.call(&["deploy", dir]);
    let dry = host.call(&["deploy", dir, "--dry-run"]);
    for refused in [&real, &dry] {
        assert!(refused.code == 1 && refused.stderr.contains("code: host/version-has-other-bytes"), "{refused:?}");
    }

    // A source that is newer than the build causes a warning; the manifest is not a source.
    assert!(!dry.stderr.contains("old build"), "{dry:?}");
    let source = std::fs::File::create(module.join("lib.rs")).unwrap();
    source
        .set_modified(
            std::fs::metadata(module.join("component.wasm")).unwrap().modified().unwrap()
                + std::time::Duration::from_secs(90),
        )
        .unwrap();
    let stale = host.call(&["deploy", dir, "--dry-run"]);
    assert!(stale.stderr.contains("warning: lib.rs was changed 1m 30s after the component was built"), "{stale:?}");
}

#[test]
fn state_and_revisions_are_shown_and_edited() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hello");
    project(&module, "hello", tidemill_artifacts::hello());
    let host = TestHost::start(&folder.path().join("data"), &[], None);
    let dir = module.to_str().unwrap();
    assert_eq!(host.call(&["deploy", dir]).code, 0);
    let empty = host.call(&["state", "list", "hello"]);
    assert!(empty.code == 0 && empty.stdout.is_empty(), "{empty:?}");
    let set = host.call(&["state", "set", "hello", "orders/7", "-5"]);
    assert_eq!((set.code, set.stdout.as_str()), (0, "hello/orders/7 set (2 B)\n"), "{set:?}");
    assert_eq!(host.call(&["state", "get", "hello", "orders/7"]).stdout, "-5");
    let listed = json(&host.call(&["state", "list", "hello", "--prefix", "orders/", "--json"]));
    assert_eq!(listed[0]["key"], "orders/7");
    let version = listed[0]["version"].to_string();
    assert_eq!(host.call(&["state", "set", "hello", "orders/7", "6", "--if-version", &version]).code, 0);
    let late = host.call(&["state", "set", "hello", "orders/7", "7", "--if-version", &version]);
    assert!(late.code == 1 && late.stderr.contains("host/precondition-failed"), "{late:?}");
    assert!(host.call(&["state", "delete", "hello", "orders/7", "--dry-run"]).stdout.contains("would be deleted"));
    assert_eq!(host.call(&["state", "delete", "hello", "orders/7"]).code, 0);
    let gone = host.call(&["state", "get", "hello", "orders/7"]);
    assert!(gone.code == 1 && gone.stderr.contains("host/state-key-not-found"), "{gone:?}");

    let manifest = module.join("tidemill.toml");
    let more = format!("{}\n[deployment]\npriority = 7\n", std::fs::read_to_string(&manifest).unwrap());
    std::fs::write(&manifest, more).unwrap();
    assert_eq!(host.call(&["deploy", dir]).code, 0);
    let history = host.call(&["deployments", "history", "hello"]).stdout;
    assert!(
        history.lines().nth(1).is_some_and(|line| line.starts_with("2 ") && line.contains("/priority")),
        "{history}"
    );
    let plan = host.call(&["deployments", "rollback", "hello", "--dry-run"]);
    assert!(plan.stdout.contains("would be rolled back") && plan.stdout.contains("/priority: 7 → 5"), "{plan:?}");
    let back = host.call(&["deployments", "rollback", "hello", "1"]);
    assert!(back.stdout.starts_with("hello rolled back to revision 1, as revision 3"), "{back:?}");
    assert_eq!(host.call(&["deployments", "rollback", "hello", "9"]).code, 1);
    for unknown in
        [&["runs", "list", "-d", "helo"][..], &["ledger", "revenue", "helo"], &["schedules", "list", "-d", "helo"]]
    {
        let refused = host.call(unknown);
        assert!(refused.code == 1 && refused.stderr.contains("host/deployment-not-found"), "{refused:?}");
        assert!(!refused.stderr.contains("GET /v1"), "{refused:?}");
    }
}

#[test]
fn a_circuit_breaker_is_shown_and_decided_about() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("hello");
    project(&module, "hello", tidemill_artifacts::hello());
    let host = TestHost::start(&folder.path().join("data"), &[], None);
    assert_eq!(host.call(&["deploy", module.to_str().unwrap()]).code, 0);
    let breaker = |more: &[&str]| host.call(&[&["deployments", "breaker", "hello"], more].concat());
    let shown = breaker(&[]);
    assert!(shown.code == 0 && shown.stdout.starts_with("hello: circuit breaker closed since "), "{shown:?}");
    for wrong in [&["--force-open"][..], &["--note", "why"], &["--force-open", "--auto", "--note", "why"]] {
        assert_eq!(breaker(wrong).code, 2, "{wrong:?}");
    }
    let empty = breaker(&["--force-open", "--note", ""]);
    assert!(empty.code == 1 && empty.stderr.contains("note"), "{empty:?}");
    let forced = breaker(&["--force-open", "--note", "the provider is down"]);
    assert!(forced.stdout.starts_with("hello: circuit breaker forced-open since "), "{forced:?}");
    assert!(forced.stdout.contains("why       the provider is down"), "{forced:?}");
    let listed = host.call(&["deployments", "list"]).stdout;
    assert!(listed.contains("breaker forced-open: the provider is down"), "{listed}");
    let run = json(&host.call(&["run", "hello", "--json"]));
    let explained = host.call(&["runs", "explain", run["id"].as_str().unwrap()]).stdout;
    assert!(explained.contains("breaker          waits") && explained.contains("the provider is down"), "{explained}");
    assert!(explained.contains("tidemill deployments breaker hello --auto --note TEXT"), "{explained}");
    let automatic = json(&breaker(&["--auto", "--note", "it is back", "--json"]));
    assert_eq!((&automatic["state"], &automatic["decision"]["note"]), (&"closed".into(), &"it is back".into()));
    assert!(!host.call(&["deployments", "list"]).stdout.contains("breaker"));
}

/// Grants credit, sets a floor, and lists the balance.
fn credit(host: &TestHost) {
    let whose = ["--stream", "hello", "--customer", "c-1", "--currency", "EUR"];
    let grant =
        [&["ledger", "grant", "gift-1", "--amount", "5.00", "--reason", "an outage", "--yes"], &whose[..]].concat();
    assert_eq!(host.call(&grant).stdout, "entry 1: promotion 5.00 EUR\n");
    assert!(host.call(&grant).stdout.starts_with("this grant was posted before\n"));
    let floor = host.call(&[&["ledger", "floor", "--amount", "-2.50"], &whose[..]].concat());
    assert_eq!(floor.stdout, "customer c-1 of hello has its own floor of -2.50 EUR\n");
    let list = host.call(&["ledger", "balances", "--customer", "c-1"]);
    assert!(list.stdout.contains("5.00 EUR") && list.stdout.contains("-2.50"), "{list:?}");
    let removed = host.call(&[&["ledger", "floor", "--remove"], &whose[..]].concat());
    assert_eq!(removed.stdout, "customer c-1 of hello has the deployment's floor of 0.00 EUR\n");
}

/// Deploys a budget, lists it, and sets the limit of a customer.
fn budgets(host: &TestHost, module: &Path, manifest: &str) {
    let dir = module.to_str().unwrap();
    let budget =
        "[[budget]]\nname = \"cap\"\nunit = \"EUR\"\nlimit = \"5.00\"\nper = \"customer\"\nperiod = \"month\"\n";
    assert_eq!(host.call(&["budgets", "list"]).stderr, "no budgets: add `[[budget]]` to a manifest\n");
    std::fs::write(module.join("tidemill.toml"), format!("{manifest}{budget}")).unwrap();
    assert_eq!(host.call(&["deploy", dir]).code, 0);
    let set = host.call(&["budgets", "set", "hello", "cap", "c-1", "7.50"]);
    let text =
        "cap of hello: 7.50 EUR a month for customer c-1, which is its own limit\nused 0.00, held 0.00, left 7.50\n";
    assert!(set.stdout.starts_with(text), "{set:?}");
    let list = host.call(&["budgets", "list", "--deployment", "hello"]).stdout;
    assert!(list.contains("(each)") && list.contains("7.50 EUR (own)"), "{list}");
    let shown = host.call(&["budgets", "show", "hello", "cap"]).stdout;
    assert!(shown.starts_with("cap of hello: 5.00 EUR a month for each customer\nthis period: "), "{shown}");
    let removed = host.call(&["budgets", "set", "hello", "cap", "c-1", "--remove", "--json"]);
    assert_eq!((&json(&removed)["limit"]["amount"], &json(&removed)["own_limit"]), (&"5.00".into(), &false.into()));
    let unknown = host.call(&["budgets", "show", "hello", "none"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("host/budget-not-found"), "{unknown:?}");
    std::fs::write(module.join("tidemill.toml"), manifest).unwrap();
    assert_eq!(host.call(&["deploy", dir]).code, 0);
}
