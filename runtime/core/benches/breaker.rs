//! The cost that a circuit breaker adds to one run: its admission and the record of its end, each
//! under the uncontended lock that a host takes.

use std::hint::black_box;
use std::sync::Mutex;

use criterion::{Criterion, criterion_group, criterion_main};
use tidemill_core::Timestamp;
use tidemill_core::breaker::{Breaker, CallOutcome, CallPurpose};
use tidemill_core::manifest::BreakerSettings;

fn breaker(criterion: &mut Criterion) {
    let now = Timestamp::from_millis(1_767_571_200_000);
    let breaker = Mutex::new(Breaker::new(BreakerSettings::default().policy, now));
    let lock = || breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    criterion.bench_function("breaker/admit-and-record", |bench| {
        bench.iter(|| {
            let Ok(admission) = lock().admit(CallPurpose::Ordinary, black_box(now)) else { return };
            lock().record(admission, CallOutcome::Ended { failed: false, millis: 5 }, black_box(now));
        });
    });
    criterion.bench_function("breaker/check", |bench| bench.iter(|| black_box(lock().check(black_box(now)))));
}

criterion_group!(benches, breaker);
criterion_main!(benches);
