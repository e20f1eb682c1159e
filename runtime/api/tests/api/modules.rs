//! `/v1/modules` and `/v1/components`.

use axum::body::Body;
use futures_util::StreamExt as _;
use serde_json::json;

use super::world::{SCHEMAS, World};

#[tokio::test]
async fn a_version_is_uploaded_once_with_the_same_bytes() {
    let world = World::new().await;
    let made = world.upload("hello", "1.0.0", b"\0asm workflow health").await.is(201).json();
    assert_eq!(made["exports"], json!(["workflow", "health"]));
    assert_eq!((&made["module"], &made["version"], &made["size"]), (&json!("hello"), &json!("1.0.0"), &json!(20)));
    let digest = made["digest"].as_str().unwrap();
    assert_eq!(world.upload("hello", "1.0.0", b"\0asm workflow health").await.is(200).json()["digest"], digest);
    world.upload("hello", "1.0.0", b"\0asm workflow").await.refused(409, "host/version-has-other-bytes");

    let module = world.get("/v1/modules/hello").await.is(200).json();
    assert_eq!(module["versions"][0]["component"], digest);
    assert_eq!(module["versions"].as_array().unwrap().len(), 1);
    let component = world.get(&format!("/v1/components/{digest}")).await.is(200).json();
    assert_eq!(component["size"], 20);
    let bytes = world.get(&format!("/v1/components/{digest}/bytes")).await.is(200);
    assert_eq!(&bytes.bytes[..], b"\0asm workflow health");
    assert_eq!(bytes.header("content-length"), "20");
}

#[tokio::test]
async fn damaged_bytes_are_never_sent_completely() {
    let world = World::new().await;
    let bytes = [b"\0asm workflow ".to_vec(), vec![b' '; 200_000]].concat();
    let made = world.upload("hello", "1.0.0", &bytes).await.is(201).json();
    let digest = made["digest"].as_str().unwrap();
    let path = format!("/v1/components/{digest}/bytes");
    assert_eq!(world.get(&path).await.is(200).bytes.len(), bytes.len());
    let file = world.folder.path().join("components").join(digest.replace("sha256:", "")).with_extension("wasm");
    let mut damaged = bytes.clone();
    damaged[7] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let mut pieces = world.open(&path, &[]).await.pieces;
    let (mut sent, mut broken) = (0, false);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => sent += piece.len(),
            Err(_) => broken = true,
        }
    }
    assert!(broken && sent < bytes.len(), "{sent}");
    std::fs::write(&file, &bytes[..99]).unwrap();
    world.get(&path).await.refused(503, "host/store-damaged");
}

#[tokio::test]
async fn a_component_that_cannot_run_is_refused_with_every_problem_and_leaves_nothing() {
    let world = World::new().await;
    let problem = world.upload("bad", "1.0.0", b"noise").await.refused(422, "host/component-invalid");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("/v1/modules").await.is(200).json(), json!({"items": []}));
    for folder in ["uploads", "components"] {
        assert_eq!(std::fs::read_dir(world.folder.path().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[tokio::test]
async fn an_uploads_type_is_detected_from_its_bytes() {
    let world = World::new().await;
    // `curl --data-binary` declares a form by default.
    let kinds = ["application/x-www-form-urlencoded", "application/wasm", "application/octet-stream", "text/plain"];
    for (number, kind) in kinds.into_iter().enumerate() {
        let path = format!("/v1/modules/hello/versions/1.0.{number}");
        world.ask("PUT", &path, &[("content-type", kind)], b"\0asm workflow".to_vec()).await.is(201);
        let path = format!("/v1/modules/bad/versions/1.0.{number}");
        let noise = world.ask("PUT", &path, &[("content-type", kind)], b"noise".to_vec()).await;
        noise.refused(422, "host/component-invalid");
    }
    world.ask("PUT", "/v1/modules/bare/versions/1.0.0", &[], b"\0asm workflow".to_vec()).await.is(201);
}

#[tokio::test]
async fn an_input_is_validated_by_the_components_schema() {
    let world = World::new().await;
    let made = world.upload("typed", "1.0.0", b"\0asm workflow schemas").await.is(201).json();
    let component = world.get(&format!("/v1/components/{}", made["digest"].as_str().unwrap())).await.is(200).json();
    assert_eq!(component["schemas"], serde_json::from_str::<serde_json::Value>(SCHEMAS).unwrap());
    world.put("/v1/deployments/typed", json!({"module": "typed@1.0.0"})).await.is(201);
    for path in ["/v1/deployments/typed/runs", "/v1/deployments/typed/runs?delay=1h"] {
        let problem = world.post(path, json!({"name": 5})).await.refused(422, "host/input-invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/name");
        world.post(path, json!({})).await.refused(422, "host/input-invalid");
        world.post(path, json!({"name": "Ada"})).await.is(202);
    }
    // A component without schemas accepts any input.
    let plain = world.upload("plain", "1.0.0", b"\0asm workflow").await.is(201).json();
    let component = world.get(&format!("/v1/components/{}", plain["digest"].as_str().unwrap())).await.is(200).json();
    assert!(component.get("schemas").is_none());
}

#[tokio::test]
async fn uploads_outside_their_bounds_are_refused() {
    let world = World::with(|config| config.component_bytes = 32).await;
    world.upload("big", "1.0.0", &[0; 33]).await.refused(413, "host/component-too-large");
    // The length of the body is not announced.
    let pieces = futures_util::stream::iter((0..9).map(|_| Ok::<_, std::io::Error>(vec![0; 8])));
    let path = "/v1/modules/big/versions/1.0.0";
    world.ask("PUT", path, &[], Body::from_stream(pieces)).await.refused(413, "host/component-too-large");
    world.upload("big", "1", b"\0asm").await.refused(400, "host/bad-name");
    world.upload("Big", "1.0.0", b"\0asm").await.refused(400, "host/bad-name");
    world.get("/v1/modules/big").await.refused(404, "host/module-not-found");
}

#[tokio::test]
async fn a_component_in_use_is_kept_and_its_users_named() {
    let world = World::with_hello().await;
    let digest = world.get("/v1/deployments/hello").await.json()["component"].as_str().unwrap().to_owned();
    let problem = world.delete(&format!("/v1/components/{digest}")).await.refused(409, "host/component-in-use");
    assert_eq!(problem["users"], json!(["hello"]));
    world.delete("/v1/deployments/hello").await.is(204);
    world.delete(&format!("/v1/components/{digest}")).await.is(204);
    world.get(&format!("/v1/components/{digest}")).await.refused(404, "host/component-not-found");
    world.get(&format!("/v1/components/{digest}/bytes")).await.refused(404, "host/component-not-found");
    world.get("/v1/modules/hello").await.refused(404, "host/module-not-found");
}

#[tokio::test]
async fn a_list_is_read_to_its_end_a_page_at_a_time() {
    let world = World::new().await;
    for number in 0..7 {
        world.upload("many", &format!("1.0.{number}"), format!("\0asm workflow {number}").as_bytes()).await.is(201);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/modules?limit=3".to_owned());
    loop {
        let page = world.get(&path).await.is(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["version"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/modules?limit=3&cursor={next}");
    }
    assert_eq!(seen, (0..7).map(|number| format!("1.0.{number}")).collect::<Vec<_>>());
    let cursor = world.get("/v1/modules?limit=3").await.json()["next"].as_str().unwrap().to_owned();
    world.get(&format!("/v1/runs?cursor={cursor}")).await.refused(400, "host/bad-cursor");
}
