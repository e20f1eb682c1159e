//! Claims about long values: they behave like short ones, wherever a back end keeps them.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::journal::JournalChange;

use crate::fixture::{
    NOON, child, claim_one, claimed_run, deploy, done, fresh, name, new_run, owner, request, success,
};
use tidemill_store::Store;
use tidemill_store::records::{NewRun, NewSignal, RunCommit, ScanRequest, StateWrite};

fn long(of: u8, length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from(at % 251).unwrap_or_default() ^ of).collect()
}

pub(crate) async fn a_long_value_is_read_back_as_it_was(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let owner = owner(&store).await;
    for length in [8 << 10, (8 << 10) + 1, 300_000, 1 << 20] {
        let of = |what| long(what, length);
        let new = NewRun { input: of(1), ..new_run("a") };
        request(&store, new.clone()).await;
        let claimed = claim_one(&store, &owner, "a").await;
        assert_eq!(claimed.input, of(1));
        let run = claimed.run;
        let started = NewRun { input: of(2), detached: true, ..child(&run, "b") };
        let mut commit = RunCommit::of(owner.clone(), run.clone(), NOON);
        commit.journal = Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"x"), of(3), of(3)] });
        commit.snapshot = Some(of(4));
        commit.starts = vec![started.clone()];
        commit.writes = ["k1", "k2"].map(|key| StateWrite { key: key.into(), value: Some(of(5)) }).into();
        commit.input = Some(of(6));
        done(&store, commit).await;
        assert_eq!(store.input(run.id).await, Ok(Some(of(6))));
        assert_eq!(store.input(started.id).await, Ok(Some(of(2))));
        let journal = store.journal(run.id).await.expect("a journal");
        assert_eq!((journal.chunks, journal.snapshot), (vec![Bytes::from_static(b"x"), of(3), of(3)], Some(of(4))));
        assert_eq!(store.state(&name("a"), "k1").await.expect("a read").value, Some(of(5)));
        let request = ScanRequest { prefix: "k".into(), after: None, limit: 1 };
        let page = store.scan_state(&name("a"), &request).await.expect("a scan");
        assert_eq!((page.entries[0].1.clone(), page.more), (of(5), true));
        if length <= tidemill_store::records::SIGNAL_BYTES {
            let signal = NewSignal { to: run.id, name: "x".into(), payload: of(7), key: None };
            store.signal(signal, NOON).await.expect("a signal");
            let lying = store.inbox(run.id, "x", None).await.expect("a read").expect("a signal");
            assert_eq!((lying.name.as_str(), lying.payload), ("x", of(7)));
        }
        let mut commit = success(&owner, &run);
        commit.output = Some(of(8));
        commit.taken = vec![0];
        commit.writes = vec![StateWrite { key: "k2".into(), value: None }];
        done(&store, commit).await;
        assert_eq!(store.output(run.id).await, Ok(Some(of(8))));
        assert_eq!(store.outcome(run.id).await.expect("a read").expect("it ended").output, Some(of(8)));
        let first = NewRun { input: of(9), ..new_run("a") };
        done(&store, fresh(&owner, &first)).await;
        assert_eq!(store.input(first.id).await, Ok(Some(of(9))));
        let ended = claim_one(&store, &owner, "b").await;
        assert_eq!(ended.input, of(2));
        done(&store, success(&owner, &ended.run)).await;
    }
}

pub(crate) async fn a_page_of_long_values_is_bounded(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.writes = (0..5).map(|at| StateWrite { key: format!("k{at}"), value: Some(long(at, 300_000)) }).collect();
    done(&store, commit).await;
    let request = ScanRequest { prefix: "k".into(), after: None, limit: 100 };
    let page = store.scan_state(&name("a"), &request).await.expect("a scan");
    assert_eq!((page.entries.len(), page.more), (3, true), "a page holds 1 MiB");
}
