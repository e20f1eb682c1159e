//! `tidemill secrets` against a real host.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{CallOutcome, TestHost, call, tidemill};

/// Runs a command with this standard input.
fn with_input(mut command: Command, input: &str) -> CallOutcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    CallOutcome { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_master_key_is_made_and_secrets_are_set_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master-key");
    let file = file.to_str().unwrap();
    let made = call(&["secrets", "new-master-key", "--file", file]);
    assert!(made.code == 0 && made.stdout.contains(file), "{made:?}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(call(&["secrets", "new-master-key", "--file", file]).code, 1, "it overwrites nothing");
    let shown = call(&["secrets", "new-master-key", "--json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["key"].as_str().unwrap().len(), 44);
    assert_eq!(call(&["secrets", "new-master-key"]).stdout.trim().len(), 44);

    let mut command = tidemill(&["serve", "--addr", "127.0.0.1:0", "--log", "warn", "--data"]);
    command.arg(folder.path().join("data")).env("TIDEMILL_MASTER_KEY_FILE", file);
    let host = TestHost::of(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let set = |args: &[&str], input: &str| {
        let mut command = tidemill(&[&["secrets", "set"], args].concat());
        command.env("TIDEMILL_URL", &host.url);
        with_input(command, input)
    };
    assert!(host.call(&["secrets", "list"]).stderr.contains("no secrets"));
    let first = set(&["api-key"], "s3cret-value\n");
    assert_eq!((first.code, first.stdout.as_str()), (0, "api-key has version 1\n"), "{first:?}");
    let same = set(&["api-key", "--encoding", "hex"], "733363726574 2d");
    assert!(same.code == 1 && same.stderr.contains("host/bad-field") && !same.stderr.contains("7333"), "{same:?}");
    let second = set(&["api-key", "--overlap", "24h", "--encoding", "base64"], "AAECAwQFBgc=");
    assert!(second.stdout.starts_with("api-key has version 2; still valid: version 1 until "), "{second:?}");
    let value = folder.path().join("value");
    std::fs::write(&value, "from a file\n").unwrap();
    assert_eq!(set(&["other", "--file", value.to_str().unwrap()], "").code, 0);
    for (args, input) in [(vec!["api-key"], ""), (vec!["api-key"], "\n"), (vec!["api-key", "--file", "/no/file"], "x")]
    {
        assert_eq!(set(&args, input).code, 2, "{args:?}");
    }
    let listed = host.call(&["secrets", "list"]);
    assert!(listed.stdout.contains("base64") && listed.stdout.contains("1 until "), "{listed:?}");
    let listed: Value = serde_json::from_str(&host.call(&["secrets", "list", "--json"]).stdout).unwrap();
    let versions: Vec<_> = listed.as_array().unwrap().iter().map(|one| (&one["name"], &one["version"])).collect();
    assert_eq!(versions, [(&"api-key".into(), &2.into()), (&"other".into(), &1.into())]);

    let planned = host.call(&["secrets", "delete", "other", "--dry-run"]);
    assert!(planned.stdout.contains("nothing was changed"), "{planned:?}");
    assert_eq!(host.call(&["secrets", "delete", "other"]).stdout, "other deleted\n");
    let none = host.call(&["secrets", "delete", "other"]);
    assert!(none.code == 1 && none.stderr.contains("host/secret-not-found"), "{none:?}");
    let rotation = host.call(&["secrets", "rotation"]);
    assert!(rotation.stdout.starts_with("master key ") && rotation.stdout.contains("2 sealed records"), "{rotation:?}");
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_master_key_that_cannot_be_used_ends_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let open = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    open(0o644);
    let file = file.to_str().unwrap();
    let start = |env: &[(&str, &str)]| {
        let mut command = tidemill(&["serve", "--addr", "127.0.0.1:0", "--data"]);
        command.arg(folder.path().join("data")).envs(env.iter().copied());
        let started = with_input(command, "");
        assert!(!started.stderr.contains("BwcHBwc") && !started.stderr.contains("BwcHBg"), "{started:?}");
        started
    };
    for (name, value, why) in [
        ("TIDEMILL_MASTER_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBg==", "31 bytes"),
        ("TIDEMILL_MASTER_KEY", "no base64!", "not base64"),
        ("TIDEMILL_MASTER_KEY_FILE", file, "chmod 600"),
        ("TIDEMILL_MASTER_KEY_FILE", "/no/such/file", "No such file"),
        ("TIDEMILL_MASTER_KEY_COMMAND", "/bin/sleep 1000", "within 10 seconds"),
        ("TIDEMILL_MASTER_KEY_COMMAND", "/bin/false", "exit code 1"),
        ("TIDEMILL_MASTER_KEY_COMMAND", "cat key", "absolute path"),
    ] {
        let refused = start(&[(name, value)]);
        assert!(refused.code == 1 && refused.stderr.contains("host/master-key"), "{name}={value}: {refused:?}");
        assert!(refused.stderr.contains(why), "{name}={value}: {refused:?}");
    }
    let two = start(&[("TIDEMILL_MASTER_KEY_FILE", file), ("TIDEMILL_MASTER_KEY_COMMAND", "/bin/true")]);
    assert!(two.code == 2 && two.stderr.contains("set one of them"), "{two:?}");
    let old = start(&[("TIDEMILL_MASTER_KEY_OLD_FILE", file)]);
    assert!(old.code == 2 && old.stderr.contains("no current one"), "{old:?}");

    let doctor = |env: &[(&str, &str)]| {
        let mut command = tidemill(&["doctor"]);
        command.envs(env.iter().copied()).env("TIDEMILL_URL", "http://127.0.0.1:9");
        with_input(command, "")
    };
    assert!(doctor(&[("TIDEMILL_MASTER_KEY_FILE", file)]).stdout.contains("chmod 600"));
    open(0o600);
    let good = doctor(&[("TIDEMILL_MASTER_KEY_FILE", file)]);
    assert!(good.stdout.contains("master key") && good.stdout.contains("key 3d8ce373eb6ce0f1"), "{good:?}");
}
