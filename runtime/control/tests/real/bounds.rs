//! The codes of runs that start too many runs or create too many topics.

use serde_json::{Value, json};
use tidemill_control::{ControlPlane, RunRequest};
use tidemill_core::manifest::Manifest;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::RunState;
use tidemill_core::spawn::{DEPTH, OPEN_CHILDREN};
use tidemill_store::records::{PageRequest, RunFilter};

use super::{HostEpoch, LONG, World, name};

const TOO_MANY_CHILDREN: &str = "host/limit-children";
const TOO_MANY_TOPICS: &str = "host/limit-topics";

/// Deploys the component under that name, with grants for `waiting`, itself and all topics below
/// its name.
async fn deploy(host: &ControlPlane, name: &str) {
    let manifest = json!({
        "name": name, "module": "durable@1.0.0", "concurrency": 32, "limits": { "active": "5m" },
        "grants": { "deployments": ["waiting", name], "topics": [format!("{name}.*")] },
    });
    host.deploy(Manifest::parse_json(manifest.to_string().as_bytes()).unwrap(), None, false).await.unwrap();
}

fn start(deployment: &str, acts: Value, detached: bool) -> Value {
    json!({ "do": "start", "deployment": deployment, "input": { "acts": acts }, "detached": detached })
}

fn publish(topic: String) -> Value {
    json!({ "do": "publish", "topic": topic, "payload": 1 })
}

fn await_first(any_of: Value) -> Value {
    json!({ "do": "await-first", "any_of": any_of, "timeout": 1 })
}

/// Returns an act that answers the code of a failing act instead of ending the run.
fn attempt(act: Value) -> Value {
    json!({ "do": "try", "act": act })
}

/// Returns the last answers of a successful run of these acts.
async fn last_answers<const COUNT: usize>(epoch: &HostEpoch, deployment: &str, acts: Vec<Value>) -> [Value; COUNT] {
    let ask = RunRequest::new(name(deployment), json!({ "acts": acts }).to_string());
    let invoked = epoch.0.invoke(ask, LONG).await.unwrap();
    assert_eq!(invoked.run.state, RunState::Succeeded, "{:?}", invoked.run);
    let answers: Vec<Value> = serde_json::from_slice(&invoked.output.unwrap()).unwrap();
    answers[answers.len() - COUNT..].to_vec().try_into().unwrap()
}

/// Returns the code with which a run of these acts fails.
async fn failure_code(epoch: &HostEpoch, deployment: &str, acts: Vec<Value>) -> String {
    let ask = RunRequest::new(name(deployment), json!({ "acts": acts }).to_string());
    let invoked = epoch.0.invoke(ask, LONG).await.unwrap();
    let failure = invoked.run.state.failure().unwrap();
    assert!(!failure.retryable, "{failure:?}");
    failure.code.clone()
}

/// Children in the same transaction and stored children both count. Detached runs do not.
pub async fn a_child_beyond_the_bound_is_refused_with_its_code(epoch: &HostEpoch) {
    deploy(&epoch.0, "starting").await;
    deploy(&epoch.0, "waiting").await;
    // Its runs do not start, so they do not end before their parents.
    epoch.0.pause(&name("waiting"), String::new()).await.unwrap();
    let child = || start("waiting", json!([]), false);
    let full = || vec![child(); OPEN_CHILDREN as usize];
    let refused = json!({ "code": TOO_MANY_CHILDREN });

    let mut acts = full();
    acts.extend([attempt(child()), start("waiting", json!([]), true)]);
    let [same, detached] = last_answers(epoch, "starting", acts).await;
    assert_eq!((same, detached), (refused.clone(), json!(OPEN_CHILDREN + 1)));

    // The wait covers all of them and commits the work before it.
    let all: Vec<_> = (0..OPEN_CHILDREN).collect();
    let mut acts = full();
    acts.extend([await_first(json!(all)), attempt(child())]);
    let [timeout, later] = last_answers(epoch, "starting", acts).await;
    assert_eq!((timeout, later), (json!("timeout"), refused));

    let mut acts = full();
    acts.push(child());
    assert_eq!(failure_code(epoch, "starting", acts).await, TOO_MANY_CHILDREN);
}

/// The SDK splits longer lists.
pub async fn a_wait_for_too_many_signals_is_refused(epoch: &HostEpoch) {
    deploy(&epoch.0, "hearing").await;
    let signals = |count: u32| await_first((0..count).map(|nth| format!("s{nth}")).collect());
    let [most, more] = last_answers(epoch, "hearing", vec![signals(1_000), attempt(signals(1_001))]).await;
    assert_eq!((most, more), (json!("timeout"), json!({ "code": "host/bad-argument" })));
}

/// Runs start one another up to the maximum depth.
pub async fn a_run_at_the_greatest_depth_starts_no_child(world: &World, epoch: &HostEpoch) {
    deploy(&epoch.0, "deep").await;
    let starts = [false, true].map(|detached| attempt(start("deep", json!([]), detached)));
    let mut acts = json!(starts);
    for _ in 1..DEPTH {
        acts = json!([start("deep", acts, false), { "do": "await-all", "runs": [0], "timeout": null }]);
    }
    let Value::Array(acts) = acts else { unreachable!("a run's acts are a list") };
    // Only the codes of the lower runs matter.
    let _: [Value; 1] = last_answers(epoch, "deep", acts).await;
    let filter = RunFilter { deployment: Some(name("deep")), ..RunFilter::default() };
    let runs = world.store.runs(filter, PageRequest::first(100)).await.unwrap().items;
    assert_eq!(runs.len(), DEPTH as usize);
    let deepest = runs.iter().max_by_key(|run| run.id).unwrap();
    let refused = json!({ "code": TOO_MANY_CHILDREN });
    assert_eq!(world.output(deepest.id).await, json!([refused, refused]));
}

/// Topics in the same transaction and stored topics both count, each for the deployment that
/// created it.
pub async fn a_topic_beyond_the_quota_is_refused_with_its_code(epoch: &HostEpoch) {
    deploy(&epoch.0, "first").await;
    deploy(&epoch.0, "second").await;
    let most = Quotas::default().topics;
    let refused = json!({ "code": TOO_MANY_TOPICS });
    let begin = |nth: u64| publish(format!("first.t{nth}"));

    let mut acts: Vec<_> = (0..most).map(begin).collect();
    acts.extend([attempt(begin(most)), begin(0)]);
    let [same, again] = last_answers(epoch, "first", acts).await;
    assert_eq!((same, again), (refused.clone(), Value::Null));

    let [later, again] = last_answers(epoch, "first", vec![attempt(begin(most)), begin(0)]).await;
    assert_eq!((later, again), (refused, Value::Null));
    assert_eq!(failure_code(epoch, "first", vec![begin(most)]).await, TOO_MANY_TOPICS);

    let [other] = last_answers(epoch, "second", vec![publish("second.t".to_owned())]).await;
    assert_eq!(other, Value::Null);
}
