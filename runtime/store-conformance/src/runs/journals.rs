//! Claims about journals: replaced exactly, read completely, and refused to a dead epoch.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::Fuel;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::{Run, RunEvent, WaitCondition};

use crate::fixture::{NOON, a_and_b, claim_one, claimed_run, deploy, done, owner, start, success};
use tidemill_store::records::{
    NewRun, NewSignal, PageRequest, RecoveryFilter, RunCommit, RunRequestResult, StoredJournal,
};
use tidemill_store::{Store, StoreError};

fn chunks(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

fn change(from: u32, texts: &[&'static str]) -> Option<JournalChange> {
    Some(JournalChange { from, chunks: chunks(texts) })
}

async fn stored(store: &Arc<dyn Store>, run: &Run) -> (Vec<Bytes>, Option<Bytes>) {
    let StoredJournal { chunks, snapshot } = store.journal(run.id).await.expect("a journal");
    (chunks, snapshot)
}

pub(crate) async fn a_change_replaces_exactly_what_it_names(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (run, other) = (claimed_run(&store, &owner, "a").await, claimed_run(&store, &owner, "a").await);
    assert_eq!(stored(&store, &run).await, (vec![], None));
    let commit = |journal, snapshot: Option<&'static str>| RunCommit {
        journal,
        snapshot: snapshot.map(|snapshot| Bytes::from_static(snapshot.as_bytes())),
        ..RunCommit::of(owner.clone(), run.clone(), NOON)
    };
    let steps: [(Option<JournalChange>, Option<&'static str>, &[&'static str]); 7] = [
        (change(0, &["a", "b", "c"]), Some("h"), &["a", "b", "c"]),
        (change(2, &["C", "d"]), Some("i"), &["a", "b", "C", "d"]),
        (None, None, &["a", "b", "C", "d"]),
        (change(1, &["B"]), None, &["a", "B"]),
        (change(2, &[]), Some("j"), &["a", "B"]),
        (change(2, &["c"]), Some("j"), &["a", "B", "c"]),
        (change(0, &[]), None, &[]),
    ];
    for (journal, snapshot, expected) in steps {
        done(&store, commit(journal, snapshot)).await;
        let snapshot = snapshot.map(|snapshot| Bytes::from_static(snapshot.as_bytes()));
        assert_eq!(stored(&store, &run).await, (chunks(expected), snapshot));
    }
    let gap = store.commit_run(commit(change(1, &["x"]), None)).await;
    assert!(matches!(gap, Err(StoreError::IllegalTransition(_))), "{gap:?}");
    assert_eq!(stored(&store, &other).await, (vec![], None));
}

pub(crate) async fn a_part_is_read_without_the_rest(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let part = async |from, limit| store.journal_part(run.id, from, limit).await.expect("a part");
    assert_eq!(part(0, 1).await, chunks(&[]), "of no journal");
    let large = Bytes::from(vec![7; 20 << 10]);
    let mut all: Vec<Bytes> = (0..200_u32).map(|at| Bytes::copy_from_slice(&at.to_be_bytes())).collect();
    (all[1], all[3]) = (large.clone(), large);
    let journal = Some(JournalChange { from: 0, chunks: all.clone() });
    done(&store, RunCommit { journal, ..RunCommit::of(owner.clone(), run.clone(), NOON) }).await;
    for (from, limit, expected) in [(0, 0, 0..1), (0, 4, 0..1), (0, 5, 0..2), (1, 20 << 10, 1..2), (1, 30 << 10, 1..4)]
    {
        assert_eq!(part(from, limit).await, all[expected], "{limit} bytes from {from} on");
    }
    let (mut from, mut together) = (0, Vec::new());
    loop {
        let some = part(from, 1 << 20).await;
        assert!(some.len() <= 64);
        if some.is_empty() {
            break;
        }
        from += u32::try_from(some.len()).unwrap_or_default();
        together.extend(some);
    }
    assert_eq!(together, all);
    assert_eq!((part(200, 9).await, part(u32::MAX, 9).await), (vec![], vec![]), "after the end");
    assert_eq!(store.journal_part(crate::fixture::new_run("a").id, 0, 9).await, Ok(vec![]), "of no run");
}

pub(crate) async fn saving_keeps_the_journal_without_its_effects(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let dead = owner(&store).await;
    claimed_run(&store, &dead, "a").await;
    let alive = owner(&store).await;
    let mut run = store.take_over(&alive, RecoveryFilter::All, 1, NOON).await.expect("a takeover").remove(0).run;
    assert_eq!(run.takeovers, 1);
    let late = store.save(&dead, &run, change(0, &["x"]), None, vec![]).await;
    assert_eq!(late, Err(StoreError::StaleEpoch { run: run.id }));
    (run.fuel, run.journal_entries, run.status) = (Fuel::new(7), 3, Some("1".into()));
    store.save(&alive, &run, change(0, &["a"]), Some(Bytes::from_static(b"h")), vec![]).await.expect("a save");
    assert_eq!(stored(&store, &run).await, (chunks(&["a"]), Some(Bytes::from_static(b"h"))));
    let after = store.run(run.id).await.expect("a read").expect("a run");
    assert_eq!(after, Run { takeovers: 0, ..run.clone() }, "it got further, and is where it was");
    store.save_progress(&alive, &run, vec![]).await.expect("progress");
    assert_eq!(stored(&store, &run).await.1, Some(Bytes::from_static(b"h")), "progress leaves the snapshot alone");
    store.save(&alive, &run, change(1, &["b"]), None, vec![]).await.expect("a save");
    assert_eq!(stored(&store, &run).await, (chunks(&["a", "b"]), None));
}

pub(crate) async fn continuing_as_new_keeps_the_runs_own_data(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let new = NewRun { key: Some("k".into()), ..crate::fixture::new_run("a") };
    let first = crate::fixture::request(&store, new.clone()).await;
    let run = claim_one(&store, &owner, "a").await.run;
    let children = start(&store, &owner, &run, 1).await;
    let signal = NewSignal { to: run.id, name: "x".into(), payload: Bytes::from_static(b"1"), key: None };
    store.signal(signal, NOON).await.expect("a signal");
    let state = run.state.next(RunEvent::Requeued { not_before: NOON }).expect("a running run can go back");
    let again = Run { state, generation: 2, attempt: 1, ..run.clone() };
    let commit = RunCommit {
        input: Some(Bytes::from_static(b"[2]")),
        journal: Some(JournalChange { from: 0, chunks: vec![] }),
        ..RunCommit::of(owner.clone(), again, NOON)
    };
    done(&store, commit).await;
    let claimed = claim_one(&store, &owner, "a").await;
    assert_eq!((claimed.run.id, claimed.run.generation), (first.id, 2));
    assert_eq!(claimed.input, Bytes::from_static(b"[2]"));
    assert_eq!(stored(&store, &claimed.run).await, (vec![], None));
    assert!(store.inbox(first.id, "x", None).await.expect("a read").is_some());
    let known = store.children(first.id, PageRequest::first(9)).await.expect("a list").items;
    assert_eq!(known.iter().map(|child| child.id).collect::<Vec<_>>(), [children[0].id]);
    match store.request_run(NewRun { id: crate::fixture::new_run("a").id, ..new }).await {
        Ok(RunRequestResult::Existing(same)) => assert_eq!(same.id, first.id, "its key is the one it was asked with"),
        other => panic!("{other:?}"),
    }
    let wait = tidemill_core::run::Wait { any_of: vec![WaitCondition::Run(children[0].id)], all: false, until: None };
    done(&store, crate::fixture::suspended(&owner, &claimed.run, wait)).await;
    let child = claim_one(&store, &owner, "b").await.run;
    done(&store, success(&owner, &child)).await;
    claim_one(&store, &owner, "a").await;
}
