//! Commands that need no host, and the errors of all others if there is no host.

use crate::program::{CallOutcome, call, called, tidemill};

/// An address on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

fn wrong(message: &str, fix: &str) -> CallOutcome {
    CallOutcome { code: 2, stdout: String::new(), stderr: format!("error: {message}\nfix: {fix}\n") }
}

#[test]
fn commands_that_need_a_host_fail_without_one() {
    for args in [
        &["runs", "list"][..],
        &["run", "x"],
        &["runs", "show", "x"],
        &["logs", "x"],
        &["logs", "-f", "x"],
        &["runs", "cancel", "x"],
        &["runs", "cancel", "--all", "--terminate"],
        &["runs", "retry", "x"],
        &["runs", "retry", "--all"],
        &["runs", "retry", "--parked", "--code", "no-luck"],
        &["runs", "parked"],
        &["runs", "journal", "x"],
        &["runs", "signal", "x", "paid"],
        &["schedules", "list"],
        &["operations", "list"],
        &["operations", "cancel", "op_1"],
        &["schedules", "trigger", "a", "b"],
        &["deployments", "list"],
        &["deployments", "delete", "x"],
        &["modules", "list"],
        &["streams", "list"],
        &["ledger", "entries"],
        &["ledger", "revenue", "x"],
        &["ledger", "check"],
        &["doctor", "--quick"],
    ] {
        let outcome = call(&[&["--url", NOWHERE], args].concat());
        let expected = CallOutcome {
            code: 3,
            stdout: String::new(),
            stderr: format!(
                "error: no host answers at {NOWHERE}: Connection refused (os error 111)\n\
                 fix: start one with `tidemill serve` or `tidemill dev`, or set its address: TIDEMILL_URL, --url\n"
            ),
        };
        assert_eq!(outcome, expected, "{args:?}");
    }
}

#[test]
fn the_version_names_the_zone_data() {
    let shown = call(&["--version"]);
    let (first, second) = shown.stdout.split_once('\n').unwrap();
    assert_eq!((shown.code, first), (0, concat!("tidemill ", env!("CARGO_PKG_VERSION"))));
    assert!(second.starts_with("zone data ") && second.ends_with(")\n"), "{shown:?}");
}

#[test]
fn wrong_usage_is_answered_with_the_correct_usage() {
    assert_eq!(
        call(&["explain", "limit-feul"]),
        wrong("`limit-feul` is not one of the host's codes", "did you mean `tidemill explain host/limit-fuel`?")
    );
    assert_eq!(
        call(&["--url", "localhost:7077", "runs", "list"]),
        wrong("`localhost:7077` is not the url of a host", "give one such as http://127.0.0.1:7077")
    );
    assert_eq!(
        call(&["run", "x", "--input", "hello"]),
        wrong(
            "the input is not JSON: expected value at line 1 column 1",
            "text needs quotes of its own: --input '\"text\"'; a file is --input @FILE"
        )
    );
    assert_eq!(
        call(&["runs", "signal", "x", "paid", "--payload", "{"]),
        wrong(
            "the payload is not JSON: EOF while parsing an object at line 1 column 1",
            "text needs quotes of its own: --payload '\"text\"'; a file is --payload @FILE"
        )
    );
    assert_eq!(
        call(&["runs", "cancel", "x", "--state", "parked"]),
        wrong("filters cannot be combined with names of runs", "write --all instead of the names")
    );
    for half in [
        &["runs", "retry"][..],
        &["runs", "retry", "x", "--all"],
        &["runs", "retry", "--all", "--from-start"],
        &["runs", "signal", "x"],
    ] {
        assert_eq!(call(half).code, 2, "{half:?}");
    }
    assert_eq!(
        call(&["new", "workflow", "Grüße"]),
        wrong(
            "`Grüße` cannot be a module's name",
            "use up to 63 lower-case letters, digits and hyphens, a letter first and no hyphen last"
        )
    );
    let unknown = call(&["rums"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert!(unknown.stderr.contains("'run', 'runs'"), "{}", unknown.stderr);
}

#[test]
fn a_host_without_a_token_refuses_to_listen_beyond_loopback() {
    assert_eq!(
        call(&["serve", "--addr", "0.0.0.0:0"]),
        wrong(
            "0.0.0.0:0 can be reached from other machines, and there is no token",
            "make one with `openssl rand -hex 32 > token` and start with `--token-file token` (or TIDEMILL_TOKEN), \
             or listen on 127.0.0.1"
        )
    );
    let dev = call(&["dev", "--addr", "0.0.0.0:0"]);
    assert_eq!((dev.code, dev.stdout.as_str()), (2, ""));
}

#[test]
fn every_setting_is_shown_with_its_origin_and_a_secret_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidemill-host.toml"), "concurrency = 7\n").unwrap();
    let mut command = tidemill(&["serve", "--print-config", "--addr", "127.0.0.1:1", "--json"]);
    command.current_dir(folder.path()).env("TIDEMILL_NODE", "here").env("TIDEMILL_TOKEN", "not-to-be-shown-0000");
    let outcome = called(command);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let shown: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let of = |setting: &str| {
        let row = shown.as_array().unwrap().iter().find(|row| row["setting"] == setting).unwrap();
        (row["value"].as_str().unwrap().to_owned(), row["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("addr"), ("127.0.0.1:1".into(), "--addr".into()));
    assert_eq!(of("node"), ("here".into(), "TIDEMILL_NODE".into()));
    assert_eq!(of("concurrency"), ("7".into(), "tidemill-host.toml".into()));
    assert_eq!(of("shutdown"), ("25s".into(), "default".into()));
    assert_eq!(of("token"), ("(hidden)".into(), "TIDEMILL_TOKEN".into()));
    assert!(!outcome.stdout.contains("not-to-be-shown"));
}

#[test]
fn a_code_is_explained_by_its_page() {
    let page = call(&["explain", "limit-fuel"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    assert!(page.stdout.starts_with("# host/limit-fuel: "));
    let all = call(&["explain", "--json"]);
    assert!(serde_json::from_str::<Vec<serde_json::Value>>(&all.stdout).unwrap().len() > 50);
}

#[test]
fn a_new_project_is_whole_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let make = |args: &[&str]| {
        let mut command = tidemill(args);
        command.current_dir(folder.path());
        called(command)
    };
    for template in ["workflow", "revenue-stream", "webhook"] {
        let name = format!("my-{template}");
        assert_eq!(make(&["new", template, &name]).code, 0, "{template}");
        let text = std::fs::read_to_string(folder.path().join(&name).join("tidemill.toml")).unwrap();
        tidemill_core::manifest::ModuleFile::parse_toml(&text).unwrap();
        assert!(folder.path().join(&name).join(".tidemill/sdk/rust/Cargo.toml").exists());
        let ignored = std::fs::read_to_string(folder.path().join(&name).join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == "/tidemill-data/"), "{ignored}");
        assert_eq!(
            make(&["new", template, &name]),
            wrong(&format!("{name} already exists"), "choose another name, or --dir")
        );
    }
}

#[test]
fn shells_are_completed() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = call(&["completions", shell]);
        assert!(outcome.code == 0 && outcome.stdout.contains("deployments"), "{shell}");
    }
}

#[test]
fn an_unknown_argument_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["dev", "build", "test", "check", "deploy"] {
        let mut command = tidemill(&[verb, "nope"]);
        command.current_dir(folder.path());
        let outcome = called(command);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{verb}: {outcome:?}");
        assert!(outcome.stderr.contains("nope"), "{verb}: {outcome:?}");
    }
    assert_eq!(call(&["--profile", "nope", "runs", "list"]).code, 2);
    assert_eq!(call(&["runs", "list", "--since", "soon"]).code, 2);
}

#[test]
fn an_error_in_a_manifest_names_the_line_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "module = \"m@1.0.0\"\npriorty = 3\n\n[limits]\nmemory = \"1XB\"\n";
    std::fs::write(folder.path().join("tidemill.toml"), manifest).unwrap();
    let bad = call(&["check", folder.path().to_str().unwrap()]);
    assert_eq!((bad.code, bad.stdout.as_str()), (1, ""), "{bad:?}");
    for place in ["tidemill.toml:2: /priorty", "tidemill.toml:5: /limits/memory"] {
        assert!(bad.stderr.contains(place), "no {place} in {bad:?}");
    }
}

#[test]
fn a_code_of_the_sdk_is_explained_by_its_page() {
    let page = call(&["explain", "saga-incomplete"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    assert!(page.stdout.starts_with("# saga-incomplete: "));
    let near = call(&["explain", "bad-inputt"]);
    assert!(near.code == 2 && near.stderr.contains("did you mean `tidemill explain bad-input`?"), "{near:?}");
}

#[test]
fn every_line_of_a_json_log_is_json_even_if_the_host_does_not_start() {
    for args in [
        &["serve", "--log-format", "json", "--concurrency", "many"][..],
        &["serve", "--log-format=json", "--addr", "0.0.0.0:0"],
        &["serve", "--log-format", "json", "--nonsense"],
        &["serve", "--log-format", "json", "--log", "=,="],
    ] {
        let outcome = call(args);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
        for line in outcome.stderr.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {outcome:?}"));
            assert!(line["level"] == "ERROR" && line["message"].is_string() && line["timestamp"].is_string(), "{line}");
        }
        assert!(!outcome.stderr.is_empty());
    }
}
