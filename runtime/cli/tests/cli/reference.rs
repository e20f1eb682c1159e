//! docs/src/reference/cli.md matches the `--help` output of every command. `TIDEMILL_BLESS=1 cargo
//! test -p tidemill` regenerates it.

use std::path::Path;

use tidemill_artifacts::golden;

use crate::program::call;

const HEAD: &str = "\
# The command line

Results go to stdout, as a table or with `--json` as JSON; progress, warnings and errors go to stderr. An error states what
happened, what to do next, and its code if it has one.

| exit code | |
|---|---|
| 0 | done |
| 1 | the work failed |
| 2 | wrong usage |
| 3 | the host cannot be reached |

How a host is configured is in [Running a host](../operations.md).
";

/// Returns the commands under `path`, as its help lists them.
fn commands(path: &[&str]) -> Vec<String> {
    let help = call(&[path, &["--help"]].concat()).stdout;
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect()
}

fn section(path: &[&str]) -> String {
    let outcome = call(&[path, &["--help"]].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{path:?}");
    // The flags of every command are listed once.
    let help = if path.is_empty() {
        outcome.stdout.clone()
    } else {
        let (own, rest) = outcome.stdout.split_once("\nFor every command:\n").unwrap_or((&outcome.stdout, ""));
        let after = rest.split_once("\n\n").map(|(_, after)| format!("\n{after}")).unwrap_or_default();
        format!("{own}{after}")
    };
    let text: Vec<_> = help.trim().lines().map(str::trim_end).collect();
    let name = [&["tidemill"], path].concat().join(" ");
    format!("\n## `{name}`\n\n```text\n{}\n```\n", text.join("\n"))
}

#[test]
fn the_page_agrees_with_the_help() {
    let mut page = format!("{HEAD}{}", section(&[]));
    for command in commands(&[]) {
        page.push_str(&section(&[&command]));
        for verb in commands(&[&command]) {
            page.push_str(&section(&[&command, &verb]));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/cli.md");
    golden::check_file(&path, &page);
}

/// The shells, the first line of each script, and the words that the bash script completes.
#[test]
fn completion_scripts_keep_their_names() {
    let wrong = call(&["completions", "no-such-shell"]);
    let shells = wrong.stderr.split("[possible values: ").nth(1).unwrap().split(']').next().unwrap();
    let mut text = format!("shells: {shells}\n");
    for shell in shells.split(", ") {
        let script = call(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        let first = script.stdout.lines().find(|line| !line.is_empty()).unwrap();
        text += &format!("{shell}: {first}\n");
    }
    for word in words_of(&call(&["completions", "bash"]).stdout) {
        text += &format!("bash: {word}\n");
    }
    golden::check(env!("CARGO_MANIFEST_DIR"), "completions.txt", &text);
}

/// Returns the words that the bash script completes after each command.
fn words_of(script: &str) -> Vec<String> {
    let mut command = "";
    let mut found = Vec::new();
    for line in script.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(')').filter(|name| name.starts_with("tidemill")) {
            command = name;
        }
        if let Some(opts) = line.strip_prefix("opts=\"").and_then(|rest| rest.strip_suffix('"')) {
            found.push(format!("{command}: {opts}"));
        }
    }
    found
}

/// Runs one command for each row of the exit code table.
#[test]
fn exit_codes_match_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let noise = folder.path().join("noise.wasm");
    std::fs::write(&noise, [7; 200]).unwrap();
    assert_eq!(call(&["explain", "host/limit-fuel"]).code, 0);
    assert_eq!(call(&["check", noise.to_str().unwrap()]).code, 1);
    assert_eq!(call(&["no-such-command"]).code, 2);
    assert_eq!(call(&["--url", "http://127.0.0.1:9", "runs", "list"]).code, 3);
}

#[test]
fn every_setting_is_in_the_page_about_running_a_host() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&call(&["serve", "--print-config", "--json"]).stdout).unwrap();
    for row in shown.as_array().unwrap() {
        let setting = row["setting"].as_str().unwrap();
        let variable = format!("`TIDEMILL_{}`", setting.to_ascii_uppercase().replace('-', "_"));
        assert!(page.contains(&variable), "{variable} is not in docs/src/operations.md");
        let default = row["value"].as_str().unwrap();
        let line = page.lines().find(|line| line.contains(&variable)).unwrap();
        assert!(default.is_empty() || line.contains(&format!("`{default}`")), "{variable}: the default is {default}");
    }
}
