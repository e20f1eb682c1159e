//! Claims about the event feed.

use std::sync::Arc;

use crate::fixture::{NOON, claimed_run, deploy, done, name, new_run, owner, request, success};
use tidemill_store::Store;
use tidemill_store::records::FeedEvent;

pub(crate) async fn the_feed_lists_each_commit_in_order_and_trims_its_old_end(store: Arc<dyn Store>) {
    let mut committed = store.committed();
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    done(&store, success(&owner, &run)).await;
    assert!(committed.has_changed().expect("the store is open"));
    committed.mark_unchanged();
    let all = store.feed(0, 100).await.expect("a feed");
    let states: Vec<_> = all
        .iter()
        .filter_map(|entry| match &entry.event {
            FeedEvent::Run { id, state, .. } if *id == run.id => Some(state.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["queued", "running", "succeeded"]);
    assert!(matches!(&all[0].event, FeedEvent::Deployment { name: of, .. } if *of == name("a")));
    assert!(all.windows(2).all(|pair| pair[0].position < pair[1].position));
    let (first, last) = store.feed_range().await.expect("a range");
    assert_eq!((first, last), (all[0].position, all[all.len() - 1].position));
    assert_eq!(store.feed(all[1].position, 1).await.expect("a feed"), all[2..3]);
    store.trim(2, NOON).await.expect("a trim");
    assert_eq!(store.feed(0, 100).await.expect("a feed"), all[all.len() - 2..]);
    assert!(committed.has_changed().is_ok(), "the store is open");
}

pub(crate) async fn one_commit_trims_few_entries(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    for _ in 0..300 {
        request(&store, new_run("a")).await;
    }
    let before = store.committed().borrow().position;
    store.trim(1, NOON).await.expect("a trim");
    let commits = store.committed().borrow().position - before;
    assert!(commits >= 2, "300 entries were forgotten in {commits} commits");
    assert_eq!(store.feed(0, 100).await.expect("a feed").len(), 1);
}
