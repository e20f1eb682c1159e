//! `tidemill alerts` and `tidemill silences` against a real host.

use serde_json::Value;

use crate::program::{TestHost, call, signal};

#[test]
fn channels_are_tested_and_silences_are_created_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (data, alerts) = (folder.path().join("data"), folder.path().join("alerts.toml"));
    std::fs::write(&alerts, "[channels.repair]\nkind = \"workflow\"\ndeployment = \"on-call\"\n").unwrap();
    let host = TestHost::start(&data, &["--alerts", alerts.to_str().unwrap()], None);
    let empty = host.call(&["alerts", "list"]);
    assert_eq!((empty.code, empty.stdout.as_str(), empty.stderr.as_str()), (0, "", "no such alerts\n"));
    let channels = host.call(&["alerts", "channels"]);
    assert!(channels.stdout.contains("repair") && channels.stdout.contains("on-call"), "{channels:?}");
    let failed = host.call(&["alerts", "test", "repair"]);
    assert!(failed.code == 1 && failed.stderr.contains("host/deployment-not-found"), "{failed:?}");
    let unknown = host.call(&["alerts", "test", "pager"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("host/channel-not-found"), "{unknown:?}");
    let missing = host.call(&["alerts", "show", "01kd6dn3r00000000000000004"]);
    assert!(missing.code == 1 && missing.stderr.contains("host/alert-not-found"), "{missing:?}");

    for args in [
        vec!["--note", "x", "--for", "1h"],
        vec!["--severity", "page", "--note", "x"],
        vec!["--severity", "page", "--for", "1h"],
        vec!["--severity", "page", "--note", "x", "--for", "soon"],
    ] {
        let refused = host.call(&[&["silences", "create"], args.as_slice()].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    let long = host.call(&["silences", "create", "--rule", "vital", "--note", "x", "--for", "91days"]);
    assert!(long.code == 1 && long.stderr.contains("90 days"), "{long:?}");
    let created =
        host.call(&["silences", "create", "--deployment", "team-*", "--note", "moving", "--for", "2h", "--json"]);
    let created: Value = serde_json::from_str(&created.stdout).unwrap();
    let id = created["id"].as_str().unwrap();
    let listed = host.call(&["silences", "list"]);
    assert!(listed.stdout.contains("team-*") && listed.stdout.contains("moving"), "{listed:?}");
    let dry = host.call(&["silences", "delete", id, "--dry-run"]);
    assert!(dry.stdout.contains("nothing was changed"), "{dry:?}");
    assert_eq!(host.call(&["silences", "delete", id, "--yes"]).code, 0);
    assert_eq!(host.call(&["silences", "list"]).stderr, "no silences\n");
    let again = host.call(&["silences", "delete", id, "--yes"]);
    assert!(again.code == 1 && again.stderr.contains("host/silence-not-found"), "{again:?}");

    // A file that is not valid changes nothing; one that is takes effect.
    std::fs::write(&alerts, "[channels.repair]\nkind = \"pigeon\"\n").unwrap();
    signal("HUP", host.process());
    std::fs::write(&alerts, "[channels.other]\nkind = \"workflow\"\ndeployment = \"on-call\"\n").unwrap();
    loop {
        signal("HUP", host.process());
        let channels = host.call(&["alerts", "channels"]);
        if channels.stdout.contains("other") {
            assert!(!channels.stdout.contains("repair"), "{channels:?}");
            break;
        }
    }
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_host_does_not_start_with_alerts_that_are_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let alerts = folder.path().join("alerts.toml");
    std::fs::write(&alerts, "[rules.slow]\nsignal = \"speed\"\n").unwrap();
    let data = folder.path().join("data");
    let args = ["serve", "--data", data.to_str().unwrap(), "--alerts", alerts.to_str().unwrap()];
    let refused = call(&args);
    assert!(refused.code == 2 && refused.stderr.contains("/rules/slow/signal"), "{refused:?}");
}
