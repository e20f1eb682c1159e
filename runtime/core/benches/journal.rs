//! Benchmark: records, loads and replays the journals of runs that are promised to be cheap.
//!
//! `flat` is a run of a million steps of one level, `nested` one of a thousand steps with a
//! thousand each, `calls` ten thousand answers of 100 bytes. Loading starts from the chunks that
//! the store returns. Sizes are printed once.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has no result")]
#![allow(clippy::print_stderr, reason = "sizes belong next to the times")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidemill_core::journal::{CallReplay, Journal, Kind, NewEntry, StepReplay};
use tidemill_core::{Fuel, Timestamp};

fn at(step: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + step)
}

fn step(journal: &mut Journal, name: &str, number: u64, body: impl FnOnce(&mut Journal)) {
    match journal.begin_step(name).unwrap() {
        StepReplay::New { id } => {
            journal.open_step(id, 1, at(number), Fuel::new(number * 5_000));
            body(journal);
            journal.step_done(id, Ok(b"{\"ok\":true}"), at(number), Fuel::new(number * 5_000 + 900)).unwrap();
        }
        StepReplay::Completed { result, .. } => assert_eq!(result.len(), 11),
        other => panic!("{other:?}"),
    }
}

fn flat(journal: &mut Journal, named_apart: bool) {
    for number in 0..1_000_000 {
        if named_apart {
            step(journal, &format!("item-{number}"), number, |_| ());
        } else {
            step(journal, "item", number, |_| ());
        }
    }
}

fn nested(journal: &mut Journal) -> u64 {
    let mut most = 0;
    for number in 0..1_000 {
        step(journal, "page", number * 1_000, |journal| {
            for item in 0..1_000 {
                step(journal, "item", number * 1_000 + item, |_| ());
            }
            most = most.max(journal.bytes());
        });
    }
    most
}

fn calls(journal: &mut Journal) {
    for number in 0..10_000u64 {
        let request = u128::from(number).to_le_bytes();
        if journal.call(Kind::StateGet, request).unwrap() == CallReplay::Live {
            let (at, fuel) = (at(number), Fuel::new(number * 600));
            journal.record(NewEntry { kind: Kind::StateGet, request, result: &[7; 100], at, fuel, shown: None });
        }
    }
}

fn stored(record: impl FnOnce(&mut Journal)) -> Vec<Bytes> {
    let mut journal = Journal::empty();
    record(&mut journal);
    journal.change().unwrap().chunks
}

fn size(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

fn journal(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    group.sample_size(10);
    for (name, apart) in [("flat", false), ("flat, named apart", true)] {
        let chunks = stored(|journal| flat(journal, apart));
        let bytes = size(&chunks);
        eprintln!("{name}: {bytes} bytes, {:.1} a step besides its result", bytes as f64 / 1e6 - 11.0);
        group.throughput(Throughput::Elements(1_000_000));
        group.bench_function(format!("{name}: record a million"), |bench| bench.iter(|| stored(|j| flat(j, apart))));
        group.bench_function(format!("{name}: load and replay a million"), |bench| {
            bench.iter_batched(
                || chunks.clone(),
                |chunks| {
                    let mut journal = Journal::load(chunks).unwrap();
                    flat(&mut journal, apart);
                    assert!(journal.is_live() && journal.entries() == 1_000_000);
                },
                BatchSize::PerIteration,
            );
        });
    }

    let mut most = 0;
    let chunks = stored(|journal| most = nested(journal));
    eprintln!("nested, 1000 × 1000: {} bytes in the end, {most} at most", size(&chunks));
    group.bench_function("nested: record a million", |bench| bench.iter(|| stored(|j| most = nested(j))));

    let chunks = stored(calls);
    eprintln!("calls: {} bytes, {:.1} each besides its answer", size(&chunks), size(&chunks) as f64 / 1e4 - 100.0);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("calls: load and replay ten thousand", |bench| {
        bench.iter_batched(
            || chunks.clone(),
            |chunks| {
                let mut journal = Journal::load(chunks).unwrap();
                calls(&mut journal);
                assert!(journal.is_live() && journal.entries() == 10_000);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
