//! docs/src/reference/cli.md says what `--help` says, of every command. `TIDEMILL_BLESS=1 cargo test -p tidemill` writes it anew.

use std::path::Path;

use crate::program::call;

const HEAD: &str = "\
# The command line

Results go to stdout, as a table or with `--json` as JSON; progress, warnings and errors go to stderr. An error says what
happened, what to do next, and its code where it has one.

| exit code | |
|---|---|
| 0 | done |
| 1 | the work failed |
| 2 | wrong usage |
| 3 | the host cannot be reached |

How a host is configured is in [Running a host](../operations.md).
";

/// The commands under `path`, as its help lists them.
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
    // What holds for every command is said once.
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
fn the_page_says_what_help_says() {
    let mut page = format!("{HEAD}{}", section(&[]));
    for command in commands(&[]) {
        page.push_str(&section(&[&command]));
        for verb in commands(&[&command]) {
            page.push_str(&section(&[&command, &verb]));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/cli.md");
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page,
        "docs/src/reference/cli.md is not what --help says: run TIDEMILL_BLESS=1 cargo test -p tidemill"
    );
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
