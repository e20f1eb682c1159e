//! `/v1/secrets` and `/v1/master-key`.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemill_core::clock::SystemClock;
use tidemill_engine::secrets::{EnvironmentAndFiles, SecretSource as _, StoredSecrets};
use tidemill_vault::{MasterKey, Vault};

use super::world::World;

/// A world with a master key, a secret in a file, and its secrets.
async fn world() -> (World, Arc<StoredSecrets>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in-a-file"), "a value in a file").unwrap();
    let rest = EnvironmentAndFiles::new(Some(folder.path().to_owned()));
    let vault = Vault::new(MasterKey::from_bytes([7; 32]), None);
    let secrets = Arc::new(StoredSecrets::new(vault, Arc::new(SystemClock), rest));
    let given = Arc::clone(&secrets);
    (World::with_host(move |config| config.secrets = given).await, secrets, folder)
}

#[tokio::test]
async fn a_secret_is_set_listed_and_deleted_and_never_shown() {
    let (world, secrets, _folder) = world().await;
    world.get("/v1/secrets/api-key").await.refused(404, "host/secret-not-found");
    let value = "the-first-value";
    let first = world.put("/v1/secrets/api-key", json!({ "value": value })).await.is(201).json();
    assert_eq!((&first["name"], &first["version"], &first["source"]), (&json!("api-key"), &json!(1), &json!("store")));
    assert_eq!(secrets.secret("api-key").unwrap().unwrap().expose(), value.as_bytes());
    let again = world.put("/v1/secrets/api-key?overlap=24h", json!({ "value": value })).await.is(200).json();
    assert_eq!(again, first, "the same value makes no new version");

    let second = json!({ "value": "AAEC/w==", "encoding": "base64" });
    let second = world.put("/v1/secrets/api-key?overlap=24h", second).await.is(200).json();
    assert_eq!(
        (&second["version"], &second["encoding"], &second["older"][0]["version"]),
        (&json!(2), &json!("base64"), &json!(1))
    );
    assert_eq!(secrets.secret("api-key").unwrap().unwrap().expose(), [0, 1, 2, 255]);
    assert_eq!(secrets.valid_versions("api-key").unwrap().len(), 2);
    // Without an overlap, the new value replaces all older ones at once.
    let third = world.put("/v1/secrets/api-key", json!({ "value": "0aff", "encoding": "hex" })).await.is(200).json();
    assert_eq!((&third["version"], &third["older"]), (&json!(3), &json!([])));
    assert_eq!(secrets.valid_versions("api-key").unwrap().len(), 1);
    assert_eq!(world.get("/v1/secrets/api-key").await.is(200).json(), third);

    let page = world.get("/v1/secrets?limit=1").await.is(200).json();
    assert_eq!(page["items"], json!([third]));
    let next = page["next"].as_str().unwrap();
    let rest = world.get(&format!("/v1/secrets?limit=1&cursor={next}")).await.is(200).json();
    assert_eq!(rest["items"], json!([{ "name": "in-a-file", "source": "host", "older": [] }]));
    assert_eq!(rest.get("next"), None);
    world.get("/v1/secrets/in-a-file").await.is(200);
    world.delete("/v1/secrets/in-a-file").await.refused(404, "host/secret-not-found");

    // The store has precedence over a file, and a file takes the place of what is deleted.
    world.put("/v1/secrets/in-a-file", json!({ "value": "a stored value" })).await.is(201);
    assert_eq!(secrets.secret("in-a-file").unwrap().unwrap().expose(), b"a stored value");
    world.delete("/v1/secrets/in-a-file").await.is(204);
    assert_eq!(secrets.secret("in-a-file").unwrap().unwrap().expose(), b"a value in a file");
    world.delete("/v1/secrets/api-key").await.is(204);
    assert_eq!(secrets.secret("api-key").unwrap(), None);
    let fourth = world.put("/v1/secrets/api-key", json!({ "value": value })).await.is(201).json();
    assert_eq!(fourth["version"], 4, "numbers continue");
}

#[tokio::test]
async fn what_is_not_a_secret_is_refused_by_name_without_the_value() {
    let (world, secrets, _folder) = world().await;
    let refused = |path: &'static str, body: Value, status: u16, code: &'static str| {
        let world = &world;
        async move {
            let answer = world.put(path, body).await;
            let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
            assert!(!text.contains("CANARY"), "{text}");
            answer.refused(status, code);
        }
    };
    let path = "/v1/secrets/key";
    for (body, code) in [
        (json!({}), "host/bad-field"),
        (json!({ "value": 7 }), "host/bad-field"),
        (json!({ "value": ["CANARY"] }), "host/bad-field"),
        (json!({ "value": "" }), "host/bad-field"),
        (json!({ "value": "CANARY!", "encoding": "base64" }), "host/bad-field"),
        (json!({ "value": "CANARY", "encoding": "hex" }), "host/bad-field"),
        (json!({ "value": "abc", "encoding": "hex" }), "host/bad-field"),
        (json!({ "value": "CANARY", "encoding": "utf-16" }), "host/bad-field"),
        (json!({ "value": "CANARY".repeat(11_000) }), "host/bad-field"),
        (json!({ "value": "CANARY", "overlap": "24h" }), "host/unknown-field"),
    ] {
        refused(path, body, 422, code).await;
    }
    for overlap in ["-1s", "91days", "1", "forever", ""] {
        let path = format!("{path}?overlap={overlap}");
        world.put(&path, json!({ "value": "a value" })).await.refused(400, "host/bad-query");
    }
    world.put("/v1/secrets/Key", json!({ "value": "a value" })).await.refused(400, "host/bad-name");
    world.put("/v1/secrets/-key", json!({ "value": "a value" })).await.refused(400, "host/bad-name");
    assert_eq!(secrets.all_stored().len(), 0);
    for version in 1..=8 {
        let value = json!({ "value": format!("value {version}") });
        assert_eq!(world.put(&format!("{path}?overlap=1h"), value).await.json()["version"], version);
    }
    refused("/v1/secrets/key?overlap=1h", json!({ "value": "CANARY 9" }), 422, "host/limit-secrets").await;
}

#[tokio::test]
async fn a_host_without_a_master_key_runs_and_explains_what_to_set() {
    let world = World::new().await;
    let answer = world.put("/v1/secrets/key", json!({ "value": "a value" })).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("TIDEMILL_MASTER_KEY"));
    answer.refused(503, "host/master-key");
    assert_eq!(world.get("/v1/secrets").await.is(200).json(), json!({ "items": [] }));
    assert_eq!(world.get("/v1/master-key").await.is(200).json(), json!({ "needed": [], "sealed": 0 }));
}

#[tokio::test]
async fn the_master_key_is_shown_by_its_id() {
    let (world, _, _folder) = world().await;
    world.put("/v1/secrets/key", json!({ "value": "a value" })).await.is(201);
    let id = MasterKey::from_bytes([7; 32]).id().to_string();
    let key = world.get("/v1/master-key").await.is(200).json();
    assert_eq!((&key["key"], &key["needed"][0]["key"], &key["sealed"]), (&json!(id), &json!(id), &json!(1)));
    assert_eq!((key.get("old"), key.get("rotation")), (None, None));
}
