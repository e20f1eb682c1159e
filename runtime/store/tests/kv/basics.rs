//! The store's guarantees without faults.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_store::kv::{KeyRange, Kv, KvError, KvHealth, SubmitError, Table, Tx};

use super::support::{EVENTS, RUNS, all, get, open, put, small, unhurried};

#[tokio::test]
async fn acknowledged_commits_survive_a_clean_shutdown_without_replay() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, report) = open(small(dir.path()));
    assert!(report.created);
    put(&kv, RUNS, "a", "1").await;
    put(&kv, EVENTS, "a", "2").await;
    assert_eq!(get(&kv, RUNS, "a").as_deref(), Some("1"));
    kv.close().await.unwrap();
    assert!(matches!(kv.get(RUNS, "a"), Err(KvError::Closed)));

    let (kv, report) = open(small(dir.path()));
    assert!(report.clean && !report.created && report.replayed == 0, "{report:?}");
    assert_eq!(report.commit.position, 2);
    assert_eq!(get(&kv, RUNS, "a").as_deref(), Some("1"));
    assert_eq!(get(&kv, EVENTS, "a").as_deref(), Some("2"));
    assert_eq!(put(&kv, RUNS, "b", "3").await, 3);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_refusal_and_a_panic_write_nothing_and_leave_no_gap_in_the_positions() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    put(&kv, RUNS, "kept", "before").await;
    let refused = kv
        .submit(|tx: &mut Tx<'_>| {
            tx.put(RUNS, "kept", "after").unwrap();
            tx.put(RUNS, "new", "x").unwrap();
            tx.delete(RUNS, "kept").unwrap();
            Err::<(), _>("no")
        })
        .await;
    assert!(matches!(refused, Err(SubmitError::Refused("no"))));
    let panicked = kv
        .submit(|tx: &mut Tx<'_>| -> Result<(), KvError> {
            tx.put(RUNS, "new", "x")?;
            std::panic::resume_unwind(Box::new("a bug"));
        })
        .await;
    assert!(matches!(panicked, Err(SubmitError::Panicked(said)) if said == "a bug"));
    assert_eq!(all(&kv, RUNS).unwrap().len(), 1);
    assert_eq!(get(&kv, RUNS, "kept").as_deref(), Some("before"));
    assert_eq!(put(&kv, RUNS, "kept", "after").await, 2);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn an_operation_sees_its_own_writes_and_those_before_it_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    for key in ["b", "d", "f"] {
        put(&kv, RUNS, key, "old").await;
    }
    let (forward, backward, gone) = kv
        .submit(|tx: &mut Tx<'_>| {
            tx.put(RUNS, "a", "new")?;
            tx.put(RUNS, "e", "new")?;
            tx.delete(RUNS, "d")?;
            let keys = |rows: Vec<(_, _)>| {
                rows.into_iter()
                    .map(|(key, _): (tidemill_store::kv::Key, _)| String::from_utf8(key.into()).unwrap())
                    .collect::<String>()
            };
            let forward = keys(tx.scan(RUNS, &KeyRange::all(), false, 3)?);
            let backward = keys(tx.scan(RUNS, &KeyRange::all(), true, 3)?);
            Ok::<_, KvError>((forward, backward, tx.get(RUNS, "d")?))
        })
        .await
        .unwrap();
    assert_eq!((forward.as_str(), backward.as_str()), ("abe", "feb"));
    assert_eq!(gone, None);
    kv.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_additions_all_count_and_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    let mut positions = HashSet::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let kv = kv.clone();
        tasks.spawn(async move {
            let mut positions = Vec::new();
            for _ in 0..20 {
                let position = kv.submit(|tx: &mut Tx<'_>| {
                    let before: u64 =
                        tx.get(RUNS, "n")?.map_or(0, |v| String::from_utf8(v.into()).unwrap().parse().unwrap());
                    tx.put(RUNS, "n", (before + 1).to_string())?;
                    Ok::<_, KvError>(tx.position())
                });
                positions.push(position.await.unwrap());
            }
            positions
        });
    }
    while let Some(done) = tasks.join_next().await {
        positions.extend(done.unwrap());
    }
    assert_eq!(get(&kv, RUNS, "n").as_deref(), Some("640"));
    assert_eq!(positions, (1..=640).collect());
    let commit = *kv.commits().borrow();
    assert_eq!(commit.position, 640);
    assert_eq!(kv.sync_count(), commit.group, "one fdatasync for each group");
    kv.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_of_several_keys_never_sees_half_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (kv, stop) = (kv.clone(), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            let mut seen = HashSet::new();
            while !stop.load(Ordering::Relaxed) {
                let view = kv.view();
                let runs = view.scan(RUNS, &KeyRange::all(), false, 100).unwrap();
                let events = view.scan(EVENTS, &KeyRange::all(), true, 100).unwrap();
                let values: HashSet<Vec<u8>> = runs.into_iter().chain(events).map(|(_, value)| value.into()).collect();
                assert!(values.len() <= 1, "half a group: {values:?}");
                seen.extend(values);
                let one = view.get(EVENTS, "3").unwrap().map(Vec::from);
                assert!(one.is_none() || seen.contains(&one.unwrap()), "a get of another group than the scan");
            }
            seen.len()
        })
    };
    for round in 0..300 {
        kv.submit(move |tx: &mut Tx<'_>| {
            for key in 0..20 {
                // Every third round deletes a key that the next round puts again.
                if round % 3 == 2 && key == 7 {
                    tx.delete(RUNS, "7")?
                } else {
                    tx.put(RUNS, key.to_string(), round.to_string())?
                }
                tx.put(EVENTS, key.to_string(), round.to_string())?;
            }
            Ok::<_, KvError>(())
        })
        .await
        .unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 2);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_shows_its_group_despite_later_commits() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    put(&kv, RUNS, "a", "1").await;
    put(&kv, RUNS, "b", "1").await;
    let view = kv.view();
    put(&kv, RUNS, "a", "2").await;
    put(&kv, RUNS, "c", "2").await;
    kv.submit(|tx: &mut Tx<'_>| tx.delete(RUNS, "b")).await.unwrap();
    let text = |rows: Vec<(_, _)>| {
        rows.into_iter()
            .map(|(k, v): (tidemill_store::kv::Key, tidemill_store::kv::Value)| {
                format!("{}{} ", k.escape_ascii(), v.escape_ascii())
            })
            .collect::<String>()
    };
    assert_eq!(text(view.scan(RUNS, &KeyRange::all(), false, 9).unwrap()), "a1 b1 ");
    assert_eq!(text(view.scan(RUNS, &KeyRange::all(), true, 1).unwrap()), "b1 ");
    assert_eq!(text(kv.scan(RUNS, &KeyRange::all(), false, 9).unwrap()), "a2 c2 ");
    assert_eq!(view.get(RUNS, "c").unwrap(), None);
    assert_eq!(view.commit().position, 2);
    drop(view);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn large_values_and_many_segments_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    for round in 0..3_u8 {
        for key in 0..4_u8 {
            let value = vec![round ^ key; 3 << 20];
            kv.submit(move |tx: &mut Tx<'_>| tx.put(RUNS, [key], value)).await.unwrap();
        }
    }
    let too_large = kv.submit(|tx: &mut Tx<'_>| tx.put(RUNS, "large", vec![0; 33 << 20])).await;
    assert!(matches!(too_large, Err(SubmitError::Refused(KvError::TooLarge { .. }))));
    kv.close().await.unwrap();
    let (kv, _) = open(small(dir.path()));
    for key in 0..4_u8 {
        let value = kv.get(RUNS, [key]).unwrap().unwrap();
        assert!(value.len() == 3 << 20 && value.iter().all(|byte| *byte == 2 ^ key));
    }
    kv.scrub().unwrap();
    kv.close().await.unwrap();
}

#[tokio::test]
async fn segments_are_recycled_and_the_log_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(unhurried(dir.path()));
    let size = || -> u64 {
        std::fs::read_dir(dir.path().join("log")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
    };
    let value = "v".repeat(1000);
    for round in 0..40 {
        for key in 0..20 {
            put(&kv, RUNS, &key.to_string(), &value).await;
        }
        if round % 2 == 1 {
            kv.checkpoint().unwrap();
        }
    }
    assert!(size() < 400 << 10, "{} bytes of log", size());
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_second_opening_learns_the_holder_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    let Err(KvError::Locked { holder, .. }) = Kv::open(small(dir.path())) else { panic!("opened twice") };
    assert_eq!(holder, Some(std::process::id()));
    kv.close().await.unwrap();
    open(small(dir.path())).0.close().await.unwrap();
}

#[tokio::test]
async fn a_table_may_be_added_and_a_missing_one_is_refused() {
    const MORE: &[Table] = &[RUNS, EVENTS, Table::resident(3, "more")];
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    put(&kv, RUNS, "a", "1").await;
    kv.close().await.unwrap();
    let (kv, _) = open(tidemill_store::kv::KvConfig { tables: MORE, ..small(dir.path()) });
    put(&kv, MORE[2], "a", "2").await;
    kv.scrub().unwrap();
    kv.close().await.unwrap();
    let Err(KvError::Damaged { what }) = Kv::open(small(dir.path())) else { panic!("a table was forgotten") };
    assert!(what.contains("more"), "{what}");
}

#[tokio::test]
async fn an_open_store_is_healthy_and_a_scrub_counts_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    for key in 0..1500 {
        put(&kv, RUNS, &format!("{key:05}"), "v").await;
    }
    assert!(matches!(kv.health(), KvHealth::Healthy));
    assert_eq!(kv.scrub().unwrap().records, 1500);
    kv.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_later_read_sees_the_whole_group_of_an_earlier_read() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (kv, stop) = (kv.clone(), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            let number = |value: Option<String>| value.map_or(0, |text| text.parse::<u32>().unwrap());
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                // The keys are read in the order in which they are written to the index.
                let first = number(get(&kv, RUNS, "0"));
                let second = number(get(&kv, EVENTS, "99"));
                assert!(second >= first, "the first of group {first} came before its last, which is still {second}");
                seen = first;
            }
            seen
        })
    };
    for round in 1..=300_u32 {
        kv.submit(move |tx: &mut Tx<'_>| {
            for key in 0..100 {
                tx.put(RUNS, key.to_string(), round.to_string())?;
                tx.put(EVENTS, key.to_string(), round.to_string())?;
            }
            Ok::<_, KvError>(())
        })
        .await
        .unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 2);
    kv.close().await.unwrap();
}
