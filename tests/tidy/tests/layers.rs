//! Dependencies point down only: cli → api → control → engine → store → core. The shapes of the API
//! depend on core alone. The SDKs depend on none of these crates, except that the test harness of the
//! Rust SDK uses core.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use tidemill_tidy::{files, root};

/// Crates from the top down. A crate may depend on the crates after it.
const LAYERS: [&str; 6] =
    ["tidemill", "tidemill-api", "tidemill-control", "tidemill-engine", "tidemill-store", "tidemill-core"];

/// Every package of the workspace with its dependencies. Dependencies of tests are omitted: they
/// may point anywhere.
fn packages() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let needs = package["dependencies"].as_array().unwrap();
            let needs = needs.iter().filter(|it| it["kind"] != "dev").map(|it| text(&it["name"])).collect();
            (text(&package["name"]), needs)
        })
        .collect()
}

#[test]
fn dependencies_point_down() {
    let packages = packages();
    for (height, layer) in LAYERS.iter().enumerate() {
        let needs = packages.get(*layer).unwrap_or_else(|| panic!("no crate {layer}"));
        for upper in &LAYERS[..=height] {
            assert!(!needs.iter().any(|need| need == upper), "{layer} must not depend on {upper}");
        }
    }
}

#[test]
fn only_tests_use_the_conformance_suite() {
    for (package, needs) in packages() {
        let uses = needs.iter().any(|need| need == "tidemill-store-conformance");
        assert!(!uses, "{package} must depend on tidemill-store-conformance in tests only");
    }
}

#[test]
fn the_nouns_of_the_store_reach_the_key_value_layer_through_transactions() {
    let embedded = "runtime/store/src/embedded/";
    // These make transactions, or report on the layer itself. Golden files show its bytes.
    let allowed = ["tx/", "store.rs", "node.rs", "golden/"];
    for (name, text) in files("rs") {
        let Some(file) = name.strip_prefix(embedded) else { continue };
        let may = allowed.iter().any(|allowed| file.starts_with(allowed));
        let uses = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("crate::kv"));
        assert!(may || !uses, "{name} must use `ReadTx` and `WriteTx` instead of `crate::kv`");
    }
}

#[test]
fn the_shapes_of_the_api_depend_on_core_alone() {
    let needs = &packages()["tidemill-api-types"];
    let ours: Vec<_> = needs.iter().filter(|need| need.starts_with("tidemill")).collect();
    assert_eq!(ours, ["tidemill-core"]);
}

#[test]
fn the_vault_depends_on_core_alone() {
    let needs = &packages()["tidemill-vault"];
    let ours: Vec<_> = needs.iter().filter(|need| need.starts_with("tidemill")).collect();
    assert_eq!(ours, ["tidemill-core"]);
}

#[test]
fn the_verification_of_webhooks_depends_on_core_alone_and_does_no_io() {
    let needs = &packages()["tidemill-webhook"];
    let ours: Vec<_> = needs.iter().filter(|need| need.starts_with("tidemill")).collect();
    assert_eq!(ours, ["tidemill-core"]);
    for banned in ["tokio", "reqwest", "axum", "rustls", "rustls-native-certs"] {
        assert!(!needs.iter().any(|need| need == banned), "tidemill-webhook must not depend on {banned}");
    }
}

#[test]
fn the_core_crate_does_no_io() {
    let core = &packages()["tidemill-core"];
    for banned in ["tokio", "reqwest", "axum", "sled", "wasmtime", "rustix", "async-trait", "getrandom"] {
        assert!(!core.iter().any(|need| need == banned), "tidemill-core does no I/O and must not depend on {banned}");
    }
}

#[test]
fn wasmtime_stays_in_the_engine() {
    for (package, needs) in packages() {
        let uses = needs.iter().any(|need| need.starts_with("wasmtime"));
        assert!(!uses || package == "tidemill-engine", "{package} must use wasmtime through tidemill-engine");
    }
}

#[test]
fn a_workspace_crate_uses_the_workspace_lints() {
    for (name, text) in files("toml") {
        let ours = name.ends_with("Cargo.toml") && text.contains("version.workspace = true");
        assert!(!ours || text.contains("[lints]\nworkspace = true"), "{name} needs `[lints] workspace = true`");
    }
}

/// The only line of an SDK's manifest that may name a crate of the host. It is not for wasm, so that
/// no component contains it.
const CORE_OF_THE_HARNESS: &str = r#"
[target.'cfg(not(target_arch = "wasm32"))'.dependencies]
tidemill-core = { path = "../../runtime/core", default-features = false, optional = true }
"#;

#[test]
fn an_sdk_depends_on_the_contract_and_its_harness_on_core() {
    for (name, text) in files("toml").into_iter().filter(|(name, _)| name.starts_with("sdk/")) {
        let rest = if name == "sdk/rust/Cargo.toml" { text.replacen(CORE_OF_THE_HARNESS, "", 1) } else { text };
        assert!(!rest.contains("runtime/"), "{name} must not depend on the host");
        let features: Vec<_> = rest.lines().filter(|line| line.contains("tidemill-core")).collect();
        assert!(features.iter().all(|line| line.starts_with("testing = ")), "{name}: {features:?}");
    }
}

#[test]
fn only_the_harness_of_an_sdk_uses_core() {
    for (name, text) in files("rs").into_iter().filter(|(name, _)| name.starts_with("sdk/")) {
        let is_harness = name.starts_with("sdk/rust/src/testing/");
        assert!(is_harness || !text.contains("tidemill_core"), "{name} must not use the host's rules");
    }
}
