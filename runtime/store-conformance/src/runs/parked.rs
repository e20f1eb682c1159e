//! Claims about parked runs: the inbox lists a run from the commit that parks it to the commit that
//! resumes or ends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemill_core::RunId;
use tidemill_core::run::RunState;

use crate::fixture::{a_and_b, claimed_run, done, later, name, success};
use tidemill_store::Store;
use tidemill_store::records::{PageRequest, ParkedFilter, RetryChange, RunFilter};

pub(crate) async fn a_parked_run_is_listed_and_counted_until_it_resumes(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let park = async |of: &str, code: &str, at: u64| {
        let run = claimed_run(&store, &owner, of).await;
        let mut commit = success(&owner, &run);
        commit.run.state = RunState::Parked(tidemill_core::Failure::new(code, "it did not work"));
        (commit.output, commit.run.ended_at, commit.now) = (None, None, later(at));
        done(&store, commit).await;
        run.id
    };
    let first = park("a", "no-luck", 1).await;
    let second = park("a", "too-late", 2).await;
    let third = park("b", "no-luck", 3).await;
    let fourth = park("a", "no-luck", 4).await;
    let running = claimed_run(&store, &owner, "a").await;

    let listed = async |filter: ParkedFilter| -> BTreeSet<RunId> {
        let (mut found, mut page) = (BTreeSet::new(), PageRequest::first(2));
        loop {
            let part = store.parked(filter.clone(), page).await.expect("a page");
            assert!(part.items.len() <= 2);
            found.extend(part.items.iter().map(|parked| parked.run));
            match part.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: 2 },
                None => return found,
            }
        }
    };
    let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    let of_a = ParkedFilter { deployment: Some(name("a")), codes: codes(&["no-luck"]) };
    assert_eq!(listed(ParkedFilter::default()).await, BTreeSet::from([first, second, third, fourth]));
    assert_eq!(listed(of_a.clone()).await, BTreeSet::from([first, fourth]));
    let since = store.parked(of_a.clone(), PageRequest::first(9)).await.expect("a page").items;
    assert!(since.iter().any(|parked| parked.run == fourth && parked.why.since == later(4)));

    let groups = store.parked_groups(ParkedFilter::default()).await.expect("the groups");
    let shown: Vec<_> =
        groups.iter().map(|group| (group.deployment.as_str(), group.code.as_str(), group.runs)).collect();
    assert_eq!(shown, [("a", "no-luck", 2), ("a", "too-late", 1), ("b", "no-luck", 1)]);
    assert_eq!((groups[0].oldest, groups[0].newest), (later(1), later(4)));

    // A list of runs with the same filter finds the same runs.
    let states = vec!["parked".to_owned()];
    let filter = RunFilter { deployment: Some(name("a")), states, codes: codes(&["no-luck"]), ..RunFilter::default() };
    let runs = store.runs(filter.clone(), PageRequest::first(9)).await.expect("a page").items;
    assert_eq!(runs.iter().map(|run| run.id).collect::<BTreeSet<_>>(), BTreeSet::from([first, fourth]));
    let any = RunFilter { states: Vec::new(), ..filter.clone() };
    assert_eq!(store.runs(any, PageRequest::first(9)).await.expect("a page").items.len(), 2);

    // A retried or ended run is no longer parked.
    store.retry_run(first, RetryChange { component: None, from_start: false, now: later(5) }).await.expect("a retry");
    store.request_cancel(fourth, false, later(5)).await.expect("a cancellation");
    assert_eq!(listed(of_a).await, BTreeSet::new());
    assert!(store.runs(filter, PageRequest::first(9)).await.expect("a page").items.is_empty());
    assert_eq!(store.run(running.id).await.expect("a read").map(|run| run.id), Some(running.id));
}
