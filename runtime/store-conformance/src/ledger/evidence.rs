//! Claims about the evidence of entries.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::Timestamp;
use tidemill_core::journal::JournalChange;
use tidemill_store::Store;
use tidemill_store::records::{Evidence, ExpiredEvidence, NewEntry, RetentionPolicy};

use super::posting;
use crate::fixture::{NOON, claimed_run, deploy, done, later, owner, success};

const DAY: u64 = 24 * 3_600_000;

pub(crate) async fn the_journal_of_a_removed_run_stays_while_it_is_evidence(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let mut runs = Vec::new();
    for (id, answers, days) in [("1", vec![[7; 32]], 400), ("2", vec![], 400), ("3", vec![[8; 32]], 500)] {
        let run = claimed_run(&store, &owner, "a").await;
        let mut commit = success(&owner, &run);
        let evidence = Evidence { responses: answers, ..Evidence::default() };
        commit.postings = vec![NewEntry { evidence, ..posting(&run, id, 5) }];
        (commit.keep_evidence_millis, commit.now) = (days * DAY, NOON);
        let chunks = vec![Bytes::from(vec![b'x'; 9]), Bytes::from(vec![b'y'; 20_000])];
        commit.journal = Some(JournalChange { from: 0, chunks });
        done(&store, commit).await;
        runs.push(run.id);
    }
    let journal = async |of: usize| store.journal_part(runs[of], 0, u64::MAX).await.expect("a read").len();
    let policy = RetentionPolicy { ended_before: Some(later(31 * DAY)), uploaded_before: None };
    assert_eq!(store.expire(policy, 9).await.expect("retention").runs, 3);
    assert_eq!(store.run(runs[0]).await, Ok(None));
    assert_eq!((journal(0).await, journal(1).await, journal(2).await), (2, 0, 2));
    let expire = async |now: Timestamp, limit| store.expire_evidence(now, limit).await.expect("retention");
    let (none, one) = (ExpiredEvidence::default(), ExpiredEvidence { removed: 1, more: false });
    assert_eq!(expire(later(31 * DAY), 9).await, none);
    assert_eq!(store.expire(policy, 9).await.expect("retention").runs, 0, "nothing is looked at again");
    assert_eq!(expire(NOON.plus_millis(400 * DAY - 1), 9).await, none);
    assert_eq!(expire(NOON.plus_millis(400 * DAY), 9).await, one);
    assert_eq!((journal(0).await, journal(2).await), (0, 2));
    assert_eq!(expire(NOON.plus_millis(900 * DAY), 9).await, one);
    assert_eq!((journal(2).await, expire(Timestamp::MAX, 9).await), (0, none));
    for (name, usage) in store.usage().await.expect("usage") {
        assert_eq!((name.as_str(), usage.runs, usage.payload_bytes), ("a", 0, 0), "nothing of the runs is left");
    }
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}
