//! Durable runs: signals, journals, children, retries, cancellation, and actions on many.

use axum::body::Body;
use serde_json::{Value, json};

use super::world::{TestResponse, World};

impl World {
    /// Starts a run of `hello` that waits for the signal `paid`, with an idempotency key and this
    /// number of child runs.
    async fn waits(&self, key: &str, children: u64) -> String {
        let input = json!({"wait": "paid", "children": children}).to_string();
        let run =
            self.ask("POST", "/v1/deployments/hello/runs", &[("idempotency-key", key)], input).await.is(202).json();
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&id, "suspended").await;
        id
    }

    /// Starts a run of `hello` that gets parked.
    async fn parked(&self, input: Value) -> String {
        let run = self.run(input).await.is(200).json();
        assert_eq!(run["state"], "parked", "{run}");
        run["id"].as_str().unwrap().to_owned()
    }

    async fn signal(&self, path: &str, key: &[(&str, &str)], payload: impl Into<Body>) -> TestResponse {
        self.ask("POST", path, key, payload).await
    }

    /// Waits until an operation is done.
    async fn through(&self, path: &str) -> Value {
        for _ in 0..2_000 {
            let operation = self.get(path).await.is(200).json();
            if operation["state"] == "done" {
                return operation;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{path} was never through");
    }
}

#[tokio::test]
async fn a_signal_wakes_the_run_that_waits_for_it() {
    let world = World::with_hello().await;
    let id = world.waits("order-7", 0).await;
    let run = world.get(&format!("/v1/runs/{id}")).await.json();
    assert_eq!(run["waiting_for"], json!({"any_of": [{"signal": "paid"}]}));
    assert_eq!(run["journal_entries"], 2);
    let other = world.signal(&format!("/v1/runs/{id}/signals/other"), &[], "").await.is(202).json();
    assert_eq!(other, json!({"run": id, "signal": "other", "duplicate": false}));
    assert_eq!(world.get(&format!("/v1/runs/{id}")).await.json()["state"], "suspended");
    world.signal(&format!("/v1/runs/{id}/signals/paid"), &[], r#"{"amount": 1999}"#).await.is(202);
    let run = world.until(&id, "succeeded").await;
    assert_eq!(run["output"], json!("it came"));
    assert!(run.get("waiting_for").is_none());
    world.signal(&format!("/v1/runs/{id}/signals/paid"), &[], "1").await.refused(409, "host/run-state");
}

#[tokio::test]
async fn a_signal_finds_its_run_by_idempotency_key() {
    let world = World::with_hello().await;
    let id = world.waits("order/7", 0).await;
    let path = "/v1/deployments/hello/keys/order%2F7/signals/paid";
    world.signal("/v1/deployments/hello/keys/unknown/signals/paid", &[], "1").await.refused(404, "host/run-not-found");
    let sent = world.signal(path, &[], "1").await.is(202).json();
    assert_eq!(sent["run"], json!(id));
    world.until(&id, "succeeded").await;
}

#[tokio::test]
async fn one_key_is_one_signal() {
    let world = World::with_hello().await;
    let id = world.waits("a", 0).await;
    let (path, key) = (format!("/v1/runs/{id}/signals/other"), [("idempotency-key", "evt_1")]);
    world.signal(&path, &key, "1").await.is(202);
    let again = world.signal(&path, &key, "1").await.is(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["duplicate"], true);
    // A signal of another name does not count as the first.
    let problem = world.signal(&path, &key, "2").await.refused(422, "host/idempotency-mismatch");
    assert_eq!(problem["run"], json!(id));
    let renamed = world.signal(&format!("/v1/runs/{id}/signals/paid"), &key, "1").await;
    renamed.refused(422, "host/idempotency-mismatch");
}

#[tokio::test]
async fn signals_outside_their_bounds_are_refused() {
    let world = World::with_hello().await;
    let id = world.waits("a", 0).await;
    let path = format!("/v1/runs/{id}/signals/other");
    world.signal(&path, &[], "{").await.refused(400, "host/bad-json");
    let large = format!("\"{}\"", "x".repeat(64 << 10));
    world.signal(&path, &[], large).await.refused(413, "host/body-too-large");
    world.signal(&path, &[("idempotency-key", "")], "1").await.refused(400, "host/bad-header");
    world.signal(&path, &[("content-type", "text/plain")], "1").await.refused(415, "host/unsupported-media-type");
    world.signal(&format!("/v1/runs/{id}/signals/{}", "x".repeat(256)), &[], "1").await.refused(400, "host/bad-name");
    for n in 0..16 {
        world.signal(&path, &[], format!("\"{}{n}\"", "x".repeat(65_000))).await.is(202);
    }
    world.signal(&path, &[], format!("\"{}\"", "x".repeat(65_000))).await.refused(422, "host/limit-signals");
}

#[tokio::test]
async fn a_journal_is_read_page_by_page() {
    let world = World::with_hello().await;
    let id = world.waits("a", 0).await;
    let path = format!("/v1/runs/{id}/journal");
    let all = world.get(&path).await.is(200).json();
    let (fetch, step) = (&all["items"][0], &all["items"][1]);
    assert_eq!((&fetch["seq"], &fetch["kind"], &fetch["size"]), (&json!(1), &json!("http.fetch"), &json!(3)));
    assert_eq!(fetch["request"], "GET https://example.org/");
    assert_eq!((&fetch["result_base64"], fetch.get("result")), (&json!("AMgB"), None));
    assert_eq!((&step["kind"], &step["step"]), (&json!("step-done"), &json!("charge")));
    assert_eq!((&step["result"], &step["fuel"]), (&json!({"charge": "ch_1"}), &json!(500)));
    assert!(all.get("next").is_none());

    let first = world.get(&format!("{path}?limit=1")).await.is(200).json();
    assert_eq!(first["items"], json!([fetch]));
    for rest in [&format!("cursor={}", first["next"].as_str().unwrap()), "after=1", "after=1&limit=1"] {
        let rest = world.get(&format!("{path}?{rest}")).await.is(200).json();
        assert_eq!((&rest["items"], rest.get("next")), (&json!([step]), None));
    }
    assert_eq!(world.get(&format!("{path}?after={}", u64::MAX)).await.is(200).json()["items"], json!([]));
    world.get(&format!("{path}?cursor=x")).await.refused(400, "host/bad-cursor");
    world.get(&format!("{path}?after=-1")).await.refused(400, "host/bad-query");
    world.get(&format!("{path}?after=1&cursor=1")).await.refused(400, "host/bad-query");
    let other = world.waits("b", 0).await;
    let foreign = format!("/v1/runs/{other}/journal?cursor={}", first["next"].as_str().unwrap());
    world.get(&foreign).await.refused(400, "host/bad-cursor");
    // A run that waits for nothing has nothing to resume from.
    let id = world.run(json!({})).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/v1/runs/{id}/journal")).await.is(200).json()["items"], json!([]));
}

#[tokio::test]
async fn the_pages_of_a_long_journal_are_complete() {
    let world = World::with_hello().await;
    let input = json!({"wait": "paid", "calls": 2_000});
    let run = world.post("/v1/deployments/hello/runs", input).await.is(202).json();
    let id = run["id"].as_str().unwrap();
    world.until(id, "suspended").await;
    let path = format!("/v1/runs/{id}/journal?limit=333");
    let (mut page, mut items) = (world.get(&path).await.is(200).json(), Vec::new());
    loop {
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        page = world.get(&format!("{path}&cursor={next}")).await.is(200).json();
    }
    assert!(items.iter().map(|entry| entry["seq"].as_u64().unwrap()).eq(1..=2_003));
    assert_eq!((&items[2]["kind"], &items[2]["step"]), (&json!("step-begun"), &json!("many")));
    assert!(items[3..].iter().all(|entry| entry["step"] == "many"), "each entry names its step, on every page");
    let last_page = world.get(&format!("{path}&after=1900")).await.is(200).json();
    assert_eq!((&last_page["items"], last_page.get("next")), (&json!(items[1900..]), None));
}

#[tokio::test]
async fn a_run_lists_its_children_and_cancels_them() {
    let world = World::with_hello().await;
    let id = world.waits("a", 2).await;
    let path = format!("/v1/runs?parent={id}");
    let children = world.get(&path).await.is(200).json();
    assert_eq!(children["items"].as_array().unwrap().len(), 2);
    for child in children["items"].as_array().unwrap() {
        assert_eq!(child["trigger"], json!({"kind": "parent", "parent": id}));
        world.until(child["id"].as_str().unwrap(), "suspended").await;
    }
    let page = world.get(&format!("{path}&limit=1")).await.is(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(world.get(&format!("{path}&cursor={next}")).await.json()["items"][0]["id"], children["items"][1]["id"]);
    let problem = world.get(&format!("{path}&state=parked")).await.refused(400, "host/bad-query");
    assert_eq!(problem["fix"], "Leave `parent` or `state` out.");

    // Children first, then the run itself.
    let asked = world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200).json();
    assert_eq!(asked["cancel"]["terminate"], false);
    for child in children["items"].as_array().unwrap() {
        world.until(child["id"].as_str().unwrap(), "cancelled").await;
    }
    world.until(&id, "cancelled").await;
}

#[tokio::test]
async fn termination_is_immediate() {
    let world = World::with_hello().await;
    let id = world.waits("a", 1).await;
    let ended = world.post(&format!("/v1/runs/{id}/cancel?terminate=true"), json!({})).await.is(200).json();
    assert_eq!(ended["state"], "cancelled");
    let id = world.waits("b", 0).await;
    for unclear in ["perhaps", ""] {
        world
            .post(&format!("/v1/runs/{id}/cancel?terminate={unclear}"), json!({}))
            .await
            .refused(400, "host/bad-query");
    }
    assert_eq!(world.get(&format!("/v1/runs/{id}")).await.json()["state"], "suspended");
}

#[tokio::test]
async fn the_inbox_counts_parked_runs_by_cause() {
    let world = World::with_hello().await;
    let empty = world.get("/v1/parked").await.is(200).json();
    assert_eq!((&empty["items"], &empty["groups"]), (&json!([]), &json!([])));
    let first = world.parked(json!({"fail": "no-luck"})).await;
    let second = world.parked(json!({"fail": "no-luck"})).await;
    let other = world.parked(json!({"fail": "too-late"})).await;
    let inbox = world.get("/v1/parked?limit=2").await.is(200).json();
    let counted: Vec<_> =
        inbox["groups"].as_array().unwrap().iter().map(|group| (&group["code"], &group["runs"])).collect();
    assert_eq!(counted, [(&json!("no-luck"), &json!(2)), (&json!("too-late"), &json!(1))]);
    assert_eq!(inbox["items"].as_array().unwrap().len(), 2);
    let rest = format!("/v1/parked?limit=2&cursor={}", inbox["next"].as_str().unwrap());
    let rest = world.get(&rest).await.is(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest.get("groups").is_none() && rest.get("next").is_none());

    let late = world.get("/v1/parked?code=too-late").await.is(200).json();
    let item = &late["items"][0];
    assert_eq!(
        (&item["run"], &item["code"], &item["deployment"]),
        (&json!(other), &json!("too-late"), &json!("hello"))
    );
    assert!(item["since"].is_string() && item["message"].is_string(), "{item}");
    let runs = world.get("/v1/runs?state=parked&code=no-luck,x").await.is(200).json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 2);
    world.get("/v1/parked?code=").await.refused(400, "host/bad-query");

    let retry = json!({"action": "retry", "filter": {"state": "parked", "code": "no-luck"}});
    let begun = world.post("/v1/runs/actions", retry).await.is(202);
    let path = format!("/v1/operations/{}", begun.json()["id"].as_str().unwrap());
    let done = world.through(&path).await;
    assert_eq!((&done["matched"], &done["filter"]["code"]), (&json!(2), &json!(["no-luck"])));
    for id in [first, second] {
        assert_eq!(world.until(&id, "parked").await["attempt"], 2);
    }
    assert_eq!(world.get(&format!("/v1/runs/{other}")).await.json()["attempt"], 1);
}

#[tokio::test]
async fn a_parked_run_is_retried_with_the_requested_options() {
    let world = World::with_hello().await;
    let id = world.parked(json!({"fail": "no-luck"})).await;
    let path = format!("/v1/runs/{id}/retry");
    for (body, pointer) in [
        (json!({"from": "middle"}), "/from"),
        (json!({"component": "hello"}), "/component"),
        (json!({"form": "start"}), "/form"),
    ] {
        let problem = world.post(&path, body).await.is(422).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let unknown = world.post(&path, json!({"component": "hello@9.0.0"})).await.refused(404, "host/module-not-found");
    assert_eq!(unknown["errors"][0]["fix"], "The last version is 1.0.0.");
    let nothing = format!("sha256:{}", "0".repeat(64));
    world.post(&path, json!({ "component": nothing })).await.refused(404, "host/component-not-found");
    assert_eq!(world.get(&format!("/v1/runs/{id}")).await.json()["attempt"], 1);

    let again = world.post(&path, json!({"from": "start", "component": "hello@1.0.0"})).await.is(200).json();
    assert_eq!(again["attempt"], 2);
    world.until(&id, "parked").await;
    assert_eq!(world.ask("POST", &path, &[], "").await.is(200).json()["attempt"], 3);
    let ended = world.run(json!({})).await.json()["id"].as_str().unwrap().to_owned();
    world.post(&format!("/v1/runs/{ended}/retry"), json!({})).await.refused(409, "host/run-state");
}

#[tokio::test]
async fn a_dry_run_shows_whether_a_component_can_resume_and_changes_nothing() {
    let world = World::with_hello().await;
    let good = world.parked(json!({"fail": "no-luck", "record": true})).await;
    let looked = world.post(&format!("/v1/runs/{good}/retry"), json!({"dry_run": true})).await.is(200).json();
    assert_eq!((&looked["run"], &looked["continues"], &looked["dry_run"]), (&json!(good), &json!(true), &json!(true)));
    assert_eq!(looked["component"], world.get(&format!("/v1/runs/{good}")).await.json()["component"]);
    let bad = world.parked(json!({"fail": "no-luck", "record": true, "would_break": true})).await;
    let looked = world.post(&format!("/v1/runs/{bad}/retry"), json!({"dry_run": true})).await.is(200).json();
    assert_eq!((&looked["continues"], &looked["failure"]["code"]), (&json!(false), &json!("host/journal-mismatch")));
    for id in [good, bad] {
        let run = world.get(&format!("/v1/runs/{id}")).await.json();
        assert_eq!((&run["state"], &run["attempt"]), (&json!("parked"), &json!(1)));
    }
}

#[tokio::test]
async fn one_action_affects_many_runs() {
    let world = World::with_hello().await;
    let mut parked = Vec::new();
    for _ in 0..3 {
        parked.push(world.parked(json!({"fail": "no-luck"})).await);
    }
    let waiting = world.waits("a", 0).await;
    let act = async |body: Value| world.post("/v1/runs/actions", body).await;
    act(json!({"action": "retry"})).await.is(422);
    act(json!({"action": "retry", "filter": {}})).await.is(422);
    let problem = act(json!({"action": "retire", "filter": {"state": "prked"}})).await.is(422).json();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");

    let begun = act(json!({"action": "retry", "filter": {"deployment": "hello"}})).await.is(202);
    let path = begun.header("location").to_owned();
    assert_eq!(path, format!("/v1/operations/{}", begun.json()["id"].as_str().unwrap()));
    let operation = world.through(&path).await;
    assert_eq!((&operation["action"], &operation["filter"]["state"]), (&json!("retry"), &json!(["parked"])));
    assert_eq!((&operation["matched"], &operation["done"], &operation["failed"]), (&json!(3), &json!(3), &json!(0)));
    for id in &parked {
        assert_eq!(world.until(id, "parked").await["attempt"], 2);
    }
    let begun = act(json!({"action": "terminate", "filter": {"state": ["suspended", "parked"]}})).await.is(202);
    assert_eq!(world.through(begun.header("location")).await["done"], 4);
    for id in parked.iter().chain([&waiting]) {
        world.until(id, "cancelled").await;
    }
    assert_eq!(world.get("/v1/operations").await.is(200).json()["items"], json!([]));
    world.get("/v1/operations/unknown").await.refused(404, "host/path-not-found");
    world.get("/v1/runs/actions").await.refused(405, "host/method-not-allowed");
}

#[tokio::test]
async fn pending_signals_are_listed_and_dropped() {
    let world = World::with_hello().await;
    let id = world.waits("a", 0).await;
    for payload in ["1", r#"{"x": [2]}"#, "3"] {
        world.signal(&format!("/v1/runs/{id}/signals/other"), &[], payload).await.is(202);
    }
    let path = format!("/v1/runs/{id}/inbox");
    let page = world.get(&format!("{path}?limit=2")).await.is(200).json();
    let signal = |page: &Value, at: usize| {
        let signal = &page["items"][at];
        assert!(signal["at"].is_string(), "{signal}");
        (signal["place"].clone(), signal["name"].clone(), signal["payload"].clone())
    };
    assert_eq!(signal(&page, 1), (json!(1), json!("other"), json!({"x": [2]})));
    let rest = world.get(&format!("{path}?cursor={}", page["next"].as_str().unwrap())).await.is(200).json();
    assert_eq!(signal(&rest, 0), (json!(2), json!("other"), json!(3)));
    world.delete(&format!("{path}/1")).await.is(204);
    world.delete(&format!("{path}/1")).await.refused(404, "host/signal-not-found");
    world.delete(&format!("{path}/x")).await.refused(400, "host/bad-name");
    let left = world.get(&path).await.is(200).json();
    assert_eq!(left["items"].as_array().unwrap().iter().map(|signal| &signal["place"]).collect::<Vec<_>>(), [0, 2]);
    let unknown = format!("/v1/runs/{}/inbox", "0".repeat(26));
    world.get(&unknown).await.refused(404, "host/run-not-found");
    world.delete(&format!("{unknown}/0")).await.refused(404, "host/run-not-found");
}

#[tokio::test]
async fn a_cancelled_run_with_failed_compensation_is_in_the_inbox() {
    let world = World::with_hello().await;
    let start = async |undo: &str| {
        let input = json!({"sleep": 60_000, "undo": undo});
        let run = world.post("/v1/deployments/hello/runs", input).await.is(202).json();
        let id = run["id"].as_str().unwrap().to_owned();
        world.until(&id, "running").await;
        world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200);
        (id.clone(), world.until(&id, "cancelled").await)
    };
    let (_, clean) = start("host/cancelled").await;
    assert_eq!((clean.get("failure"), clean.get("failures")), (None, None));
    let (id, failed) = start("saga-incomplete").await;
    assert_eq!(failed["failure"]["code"], "saga-incomplete", "{failed}");
    let entry = &failed["failures"][0];
    assert_eq!((&entry["number"], &entry["of"], &entry["attempt"]), (&json!(1), &json!("cancellation"), &json!(1)));
    assert_eq!(entry["failure"]["message"], "cancelled by request");
    let listed = world.get("/v1/runs?state=cancelled&code=saga-incomplete").await.is(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["failure"]["code"], "saga-incomplete");
    let explained = world.get(&format!("/v1/runs/{id}/explain")).await.is(200).json();
    assert!(explained["summary"].as_str().unwrap().contains("saga-incomplete"), "{explained}");
    let inbox = world.get("/v1/parked").await.is(200).json();
    let item = &inbox["items"][0];
    assert_eq!(
        (&item["run"], &item["state"], &item["message"]),
        (&json!(id), &json!("cancelled"), &json!("cancelled by request"))
    );
    assert_eq!(inbox["groups"][0]["code"], "saga-incomplete");

    // Cancelled once more, it leaves the inbox, and its failure remains.
    let again = world.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.is(200).json();
    assert_eq!(again["failure"]["code"], "saga-incomplete");
    assert_eq!(world.get("/v1/parked").await.is(200).json()["items"], json!([]));
}

#[tokio::test]
async fn a_runs_failures_are_shown_with_the_run() {
    let world = World::with_hello().await;
    let id = world.parked(json!({"fail": "no-luck"})).await;
    let run = world.get(&format!("/v1/runs/{id}")).await.is(200).json();
    let failures = run["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{run}");
    assert_eq!((&failures[0]["of"], &failures[0]["failure"]["code"]), (&json!("attempt"), &json!("no-luck")));
    assert_eq!(failures[0]["failure"]["details"], json!({"why": [1]}));
    let listed = world.get("/v1/runs?state=parked").await.is(200).json();
    assert!(listed["items"][0].get("failures").is_none(), "lists are brief");
}
