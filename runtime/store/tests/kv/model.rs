//! Random sequences of operations, compared with a model of one ordered map per table.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_store::kv::{KeyRange, Kv, KvError, SubmitError, Table, Tx};

use super::support::{EVENTS, RUNS, TABLES, all, copy, open, unhurried};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    /// Operations that are queued together; those with the flag write and then refuse.
    Group(Vec<(Vec<Write>, bool)>),
    Checkpoint,
    Reopen,
    Kill,
    Scan {
        table: usize,
        from: u8,
        to: u8,
        reverse: bool,
        limit: usize,
    },
    Scrub,
    Rewrite,
}

#[derive(Debug, Clone)]
struct Write {
    table: usize,
    key: u8,
    value: Option<(u8, usize)>,
}

fn write() -> impl Strategy<Value = Write> {
    let value = prop::option::weighted(0.8, (any::<u8>(), prop_oneof![8 => 0..60_usize, 1 => 4_000..9_000_usize]));
    (0..2_usize, 0..24_u8, value).prop_map(|(table, key, value)| Write { table, key, value })
}

fn step() -> impl Strategy<Value = Step> {
    let operation = (prop::collection::vec(write(), 1..5), prop::bool::weighted(0.15));
    prop_oneof![
        12 => prop::collection::vec(operation, 1..6).prop_map(Step::Group),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        4 => (0..2_usize, 0..24_u8, 0..26_u8, any::<bool>(), 0..12_usize)
            .prop_map(|(table, from, to, reverse, limit)| Step::Scan { table, from, to, reverse, limit }),
        1 => Just(Step::Scrub),
        1 => Just(Step::Rewrite),
    ]
}

fn table(index: usize) -> Table {
    TABLES[index]
}

fn span(from: u8, to: u8) -> KeyRange {
    KeyRange::between([from], [to])
}

fn scan(records: &Records, from: u8, to: u8, reverse: bool, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = records.iter().filter(|(key, _)| key[0] >= from && key[0] < to).map(|(k, v)| (k.clone(), v.clone()));
    let mut rows: Vec<_> = within.collect();
    if reverse {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}

fn plain(rows: Vec<(tidemill_store::kv::Key, tidemill_store::kv::Value)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

async fn group(kv: &Kv, model: &mut [Records; 2], operations: &[(Vec<Write>, bool)]) {
    let waiting: Vec<_> = operations
        .iter()
        .cloned()
        .map(|(writes, refuse)| {
            let ran = kv.submit(move |tx: &mut Tx<'_>| {
                for Write { table: at, key, value } in &writes {
                    match value {
                        Some((byte, length)) => tx.put(table(*at), [*key], vec![*byte; *length])?,
                        None => tx.delete(table(*at), [*key])?,
                    }
                }
                let seen = [
                    plain(tx.scan(RUNS, &KeyRange::all(), false, 100)?),
                    plain(tx.scan(EVENTS, &KeyRange::all(), true, 100)?),
                ];
                if refuse { Err(KvError::Closed) } else { Ok((seen, tx.position())) }
            });
            tokio::spawn(ran)
        })
        .collect();
    let mut done = Vec::new();
    for (ran, (writes, refuse)) in waiting.into_iter().zip(operations) {
        match ran.await.unwrap() {
            Ok((seen, position)) => done.push((position, seen, writes)),
            Err(SubmitError::Refused(_)) => assert!(*refuse),
            Err(other) => panic!("{other}"),
        }
    }
    // The operations ran in the order of their positions.
    done.sort_by_key(|(position, ..)| *position);
    for (_, seen, writes) in done {
        for Write { table, key, value } in writes {
            match value {
                Some((byte, length)) => drop(model[*table].insert(vec![*key], vec![*byte; *length])),
                None => drop(model[*table].remove(&vec![*key])),
            }
        }
        let [runs, events] = seen;
        assert_eq!(runs, scan(&model[0], 0, u8::MAX, false, 100));
        assert_eq!(events, scan(&model[1], 0, u8::MAX, true, 100));
    }
}

async fn run(steps: Vec<Step>) {
    let mut dir = tempfile::tempdir().unwrap();
    let (mut kv, _) = open(unhurried(dir.path()));
    let mut model = [Records::new(), Records::new()];
    let mut held = None;
    for step in steps {
        match step {
            Step::Group(operations) => group(&kv, &mut model, &operations).await,
            Step::Checkpoint => kv.checkpoint().unwrap(),
            Step::Reopen => {
                held = None;
                kv.close().await.unwrap();
                let (again, report) = open(unhurried(dir.path()));
                assert!(report.clean && report.replayed == 0);
                kv = again;
            }
            Step::Kill => {
                held = None;
                let copied = tempfile::tempdir().unwrap();
                copy(dir.path(), copied.path());
                kv.close().await.unwrap();
                dir = copied;
                kv = open(unhurried(dir.path())).0;
            }
            Step::Scan { table: at, from, to, reverse, limit } => {
                let found = plain(kv.scan(table(at), &span(from, to), reverse, limit).unwrap());
                assert_eq!(found, scan(&model[at], from, to, reverse, limit));
                // An earlier snapshot still shows the same records.
                let (view, then): (tidemill_store::kv::Snapshot, [Records; 2]) =
                    held.take().unwrap_or_else(|| (kv.view(), model.clone()));
                let found = plain(view.scan(table(at), &span(from, to), reverse, limit).unwrap());
                assert_eq!(found, scan(&then[at], from, to, reverse, limit));
                assert_eq!(view.get(table(at), [from]).unwrap().map(Vec::from), then[at].get(&vec![from]).cloned());
                held = (limit != 3).then_some((view, then));
            }
            Step::Rewrite => {
                let live: usize = model.iter().flatten().map(|(key, value)| key.len() + value.len() + 8).sum();
                kv.rewrite_index().unwrap();
                // The size is unknown after a kill until a scrub has counted the records.
                assert!(kv.space().live_bytes.is_none_or(|known| known == live as u64), "{:?} of {live}", kv.space());
            }
            Step::Scrub => {
                let records = model.iter().map(|table| table.len() as u64).sum::<u64>();
                let scrubbed = kv.scrub().unwrap();
                assert_eq!(scrubbed.records, records);
                assert_eq!(kv.space().live_bytes, Some(scrubbed.bytes));
            }
        }
    }
    drop(held);
    for (at, expected) in model.iter().enumerate() {
        assert_eq!(&all(&kv, table(at)).unwrap(), expected);
    }
    kv.scrub().unwrap();
    kv.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_like_ordered_maps(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(run(steps));
    }
}

#[tokio::test]
async fn scans_are_correct_across_split_and_merged_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(super::support::small(dir.path()));
    let mut model = BTreeMap::new();
    let mut state = 42_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for round in 0..60 {
        let writes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..400)
            .map(|_| {
                let key = format!("{}/{:x}", next() % 7, next() % 4000).into_bytes();
                // Every third round mostly deletes, so that pages merge.
                let gone = next() % 10 < if round % 3 == 2 { 8 } else { 2 };
                (key, (!gone).then(|| vec![b'v'; usize::try_from(next() % 90).unwrap()]))
            })
            .collect();
        for (key, value) in &writes {
            match value {
                Some(value) => drop(model.insert(key.clone(), value.clone())),
                None => drop(model.remove(key)),
            }
        }
        kv.submit(move |tx: &mut Tx<'_>| {
            writes.into_iter().try_for_each(|(key, value)| match value {
                Some(value) => tx.put(RUNS, key, value),
                None => tx.delete(RUNS, key),
            })
        })
        .await
        .unwrap();
        let prefix = format!("{}/", round % 7).into_bytes();
        for reverse in [false, true] {
            let mut expected: Vec<_> = model.iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
            if reverse {
                expected.reverse();
            }
            let mut rest = KeyRange::prefix(&prefix);
            let mut found = Vec::new();
            loop {
                let page = plain(kv.scan(RUNS, &rest, reverse, 37).unwrap());
                let Some((last, _)) = page.last() else { break };
                rest = rest.after(last, reverse);
                found.extend(page);
            }
            assert!(found.iter().map(|(k, v)| (k, v)).eq(expected), "round {round}, reverse {reverse}");
        }
    }
    assert_eq!(kv.scrub().unwrap().records, model.len() as u64);
    kv.close().await.unwrap();
}
