//! Refusals that all nouns share: paths, methods, tokens, sizes.

use axum::http::StatusCode;
use serde_json::json;

use super::world::World;

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let world = World::new().await;
    // The last two are to come.
    for path in ["/nothing", "/v1", "/v1/runs/", "//", "/v2/runs", "/hooks/a/b/c", "/v1/incident", "/v1/rollouts"] {
        world.get(path).await.refused(404, "host/path-not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_the_allowed_ones() {
    let world = World::new().await;
    // A hook declares its methods.
    for (path, methods) in tidemill_api::ROUTES.iter().filter(|(path, _)| !path.starts_with("/hooks/")) {
        let path = path.replace("{digest}", &format!("sha256:{}", "0".repeat(64))).replace(['{', '}'], "");
        let refused = world.ask("PATCH", &path, &[], "").await;
        for method in *methods {
            assert!(refused.header("allow").split(", ").any(|one| one.eq_ignore_ascii_case(method)), "{path}");
        }
        refused.refused(405, "host/method-not-allowed");
    }
    assert_eq!(world.ask("HEAD", "/v1/runs", &[], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_probes_are_answered_without_the_token() {
    let world = World::with(|config| config.token = Some("s3cret".to_owned())).await;
    for (path, methods) in tidemill_api::ROUTES {
        let open = matches!(*path, "/" | "/healthz" | "/readyz" | "/errors/{page}" | "/hooks/{deployment}/{hook}");
        for method in *methods {
            let path = path.replace(['{', '}'], "");
            for token in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic s3cret")]] {
                let answered = world.ask(&method.to_ascii_uppercase(), &path, token, "").await;
                assert_eq!(answered.status == StatusCode::UNAUTHORIZED, !open, "{method} {path}");
                assert_eq!(answered.headers.contains_key("www-authenticate"), !open, "{method} {path}");
            }
        }
    }
    let right = [("authorization", "Bearer s3cret")];
    world.ask("GET", "/v1/runs", &right, "").await.is(200);
    // Unauthorized callers cannot tell whether a path exists.
    world.get("/v1/nothing").await.refused(401, "host/unauthorized");
}

#[tokio::test]
async fn a_page_of_another_site_may_not_call() {
    let world = World::with_hello().await;
    let body = json!({}).to_string();
    let from =
        async |headers: &[(&str, &str)]| world.ask("POST", "/v1/deployments/hello/runs", headers, body.clone()).await;
    from(&[("host", "127.0.0.1:7077"), ("origin", "https://evil.example")]).await.refused(403, "host/origin-refused");
    from(&[("host", "evil.example")]).await.refused(403, "host/origin-refused");
    assert_eq!(world.get("/v1/runs").await.json()["items"], json!([]));
    from(&[("host", "127.0.0.1:7077"), ("origin", "http://127.0.0.1:7077")]).await.is(202);
}

#[tokio::test]
async fn requests_outside_their_bounds_are_refused() {
    let world = World::new().await;
    world.get(&format!("/v1/runs?cursor={}", "0".repeat(9_000))).await.refused(414, "host/url-too-long");
    let long = "x".repeat(40_000);
    world.ask("GET", "/v1/runs", &[("x-long", &long)], "").await.refused(431, "host/header-too-large");
    let many: Vec<_> = (0..70).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    world.ask("GET", "/v1/runs", &many, "").await.refused(431, "host/header-too-large");
    let manifest = format!("{{\"config\": \"{}\"}}", "x".repeat(300_000));
    world.ask("PUT", "/v1/deployments/a", &[], manifest).await.refused(413, "host/body-too-large");
    let query: String = (0..70).map(|number| format!("a{number}=1&")).collect();
    world.get(&format!("/v1/runs?{query}")).await.refused(400, "host/bad-query");
}

#[tokio::test]
async fn unknown_parameters_are_refused_on_every_path() {
    let world = World::with_hello().await;
    for path in [
        "/v1/runs",
        "/v1/modules",
        "/v1/deployments",
        "/v1/deployments/hello",
        "/v1/schedules",
        "/v1/streams",
        "/v1/ledger/entries",
        "/v1/ledger/accounts",
        "/v1/ledger/revenue",
        "/v1/operations",
        "/v1/health",
        "/v1/events",
        "/metrics",
    ] {
        let problem = world.get(&format!("{path}?limti=1")).await.refused(400, "host/bad-query");
        assert!(problem["detail"].as_str().unwrap().contains("limti"));
    }
}

#[tokio::test]
async fn a_filter_by_an_unknown_deployment_is_refused() {
    let world = World::with_hello().await;
    world.run(json!({})).await.is(200);
    let filters = ["runs?deployment", "parked?deployment", "schedules?deployment", "subscriptions?deployment"];
    for list in filters.into_iter().chain(["ledger/entries?stream", "ledger/accounts?stream", "ledger/revenue?stream"])
    {
        world.get(&format!("/v1/{list}=helo")).await.refused(404, "host/deployment-not-found");
        world.get(&format!("/v1/{list}=hello")).await.is(200);
    }
    world.get("/v1/runs?deployment=hello&state=parked").await.is(200);
    for (path, action) in [("runs", "cancel"), ("schedules", "pause")] {
        let body = json!({"action": action, "filter": {"deployment": "helo"}});
        world.post(&format!("/v1/{path}/actions"), body).await.refused(404, "host/deployment-not-found");
    }
    // The remains of a deleted deployment can be found.
    world.delete("/v1/deployments/hello").await.is(204);
    world.get("/v1/runs?deployment=hello&state=parked").await.is(200);
}
