//! Cases and laws of circuit breakers.

use proptest::prelude::*;

use super::*;

const FINE: CallOutcome = CallOutcome::Ended { failed: false, millis: 5 };
const FAILED: CallOutcome = CallOutcome::Ended { failed: true, millis: 5 };
const SLOW: CallOutcome = CallOutcome::Ended { failed: false, millis: 300_001 };

const AGAIN: CallOutcome = CallOutcome::FailedAgain { millis: 5 };

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + millis)
}

fn new() -> Breaker {
    Breaker::new(BreakerPolicy::default(), at(0))
}

fn call(breaker: &mut Breaker, outcome: CallOutcome, now: Timestamp) {
    let admission = breaker.admit(CallPurpose::Ordinary, now).unwrap();
    breaker.record(admission, outcome, now);
}

fn opened(now: Timestamp) -> Breaker {
    let mut breaker = new();
    (0..10).for_each(|_| call(&mut breaker, FAILED, now));
    assert_eq!(breaker.phase(), BreakerPhase::Open);
    breaker
}

#[test]
fn ten_failures_open_the_breaker_and_nine_do_not() {
    let mut breaker = new();
    (0..9).for_each(|_| call(&mut breaker, FAILED, at(0)));
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
    call(&mut breaker, FAILED, at(1));
    assert_eq!(
        breaker.admit(CallPurpose::Ordinary, at(60_000)),
        Err(BreakerRefusal { since: at(1), until: Some(at(60_001)) })
    );
    assert!(breaker.admit(CallPurpose::Ordinary, at(60_001)).is_ok());
}

#[test]
fn slow_calls_open_the_breaker_only_if_all_are_slow() {
    let mut breaker = new();
    call(&mut breaker, FINE, at(0));
    (0..19).for_each(|_| call(&mut breaker, SLOW, at(0)));
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
    call(&mut breaker, SLOW, at(0));
    assert_eq!(breaker.phase(), BreakerPhase::Open);
}

#[test]
fn half_open_decides_when_all_calls_have_ended() {
    for (last, then) in [(FAILED, BreakerPhase::Open), (FINE, BreakerPhase::Closed)] {
        let mut breaker = opened(at(0));
        let let_through: Vec<_> = (0..10).map(|_| breaker.admit(CallPurpose::Ordinary, at(60_000)).unwrap()).collect();
        assert_eq!(
            breaker.admit(CallPurpose::Ordinary, at(60_001)),
            Err(BreakerRefusal { since: at(0), until: Some(at(120_000)) })
        );
        for (n, admission) in let_through.into_iter().enumerate() {
            assert_eq!(breaker.phase(), BreakerPhase::HalfOpen);
            breaker.record(
                admission,
                if n < 4 {
                    FAILED
                } else if n < 9 {
                    FINE
                } else {
                    last
                },
                at(60_002),
            );
        }
        assert_eq!(breaker.phase(), then);
    }
}

#[test]
fn half_open_decides_by_the_ended_calls_when_its_time_is_over() {
    let mut seldom = opened(at(0));
    call(&mut seldom, FINE, at(60_000));
    let _ = seldom.admit(CallPurpose::Ordinary, at(120_000)).unwrap();
    assert_eq!(seldom.phase(), BreakerPhase::Closed);

    let mut hanging = opened(at(0));
    let hangs = hanging.admit(CallPurpose::Ordinary, at(60_000)).unwrap();
    assert_eq!(
        hanging.admit(CallPurpose::Ordinary, at(179_999)),
        Err(BreakerRefusal { since: at(120_000), until: Some(at(180_000)) })
    );
    hanging.record(hangs, FINE, at(179_999));
    assert_eq!(hanging.phase(), BreakerPhase::Open, "a late outcome decides nothing");

    let mut given_up = opened(at(0));
    call(&mut given_up, CallOutcome::Abandoned, at(60_000));
    assert!(given_up.admit(CallPurpose::Ordinary, at(120_000)).is_ok());
}

#[test]
fn compensation_passes_a_half_open_breaker_and_decides_nothing() {
    let mut breaker = opened(at(0));
    assert!(breaker.admit(CallPurpose::Compensation, at(59_999)).is_err(), "it is open");
    let let_through: Vec<_> = (0..10).map(|_| breaker.admit(CallPurpose::Ordinary, at(60_000)).unwrap()).collect();
    assert!(breaker.admit(CallPurpose::Ordinary, at(60_001)).is_err());
    for _ in 0..20 {
        let beyond = breaker.admit(CallPurpose::Compensation, at(60_001)).unwrap();
        breaker.record(beyond, FAILED, at(60_002));
    }
    assert_eq!(breaker.phase(), BreakerPhase::HalfOpen);
    for admission in let_through {
        breaker.record(admission, FINE, at(60_003));
    }
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
}

#[test]
fn a_clock_that_jumps_back_locks_no_caller_out() {
    let mut breaker = opened(at(500_000_000));
    assert!(breaker.admit(CallPurpose::Ordinary, at(0)).is_err());
    assert!(breaker.admit(CallPurpose::Ordinary, at(60_000)).is_ok());
}

#[test]
fn the_repeated_failures_of_one_piece_of_work_open_nothing() {
    let mut breaker = new();
    call(&mut breaker, FAILED, at(0));
    (0..100).for_each(|_| call(&mut breaker, AGAIN, at(1)));
    assert_eq!(breaker.status(at(1)).counts, CallCounts { calls: 1, failed: 1, slow: 0 });
    let mut half_open = opened(at(0));
    (0..10).for_each(|_| call(&mut half_open, AGAIN, at(60_000)));
    assert_eq!(half_open.phase(), BreakerPhase::Open, "it is no recovery either");
}

#[test]
fn a_status_has_the_calls_that_decided() {
    let mut breaker = new();
    (0..5).for_each(|_| call(&mut breaker, FINE, at(0)));
    (0..5).for_each(|_| call(&mut breaker, FAILED, at(0)));
    let status = breaker.status(at(30_000));
    assert_eq!((status.phase, status.since, status.until), (BreakerPhase::Open, at(0), Some(at(60_000))));
    assert_eq!(status.counts, CallCounts { calls: 10, failed: 5, slow: 0 });
    let status = breaker.status(at(60_000));
    assert_eq!((status.phase, status.since, status.until), (BreakerPhase::HalfOpen, at(60_000), None));
    let under_way = breaker.admit(CallPurpose::Ordinary, at(61_000)).unwrap();
    assert_eq!(breaker.status(at(61_000)).until, Some(at(120_000)));
    breaker.abandon(under_way);
    assert_eq!(breaker.status(at(61_000)).until, None);
    assert_eq!(breaker.status(at(500_000)).since, at(60_000), "it is half-open all the time");
}

#[test]
fn a_breaker_that_awaits_the_first_call_is_not_opened_by_long_calls() {
    let policy = BreakerPolicy { awaits_first: true, ..BreakerPolicy::default() };
    let opened = || {
        let mut breaker = Breaker::new(policy, at(0));
        (0..10).for_each(|_| call(&mut breaker, FAILED, at(0)));
        breaker
    };
    for (outcome, phase) in [(FINE, BreakerPhase::Closed), (FAILED, BreakerPhase::Open)] {
        let mut breaker = opened();
        let mut long: Vec<_> = (0..10).map(|_| breaker.admit(CallPurpose::Ordinary, at(60_000)).unwrap()).collect();
        let refusal = breaker.admit(CallPurpose::Ordinary, at(999_000)).unwrap_err();
        assert_eq!((refusal.since, refusal.until), (at(0), Some(at(999_001))));
        assert_eq!(breaker.phase(), BreakerPhase::HalfOpen);
        breaker.record(long.remove(0), outcome, at(999_000));
        assert_eq!(breaker.phase(), phase);
    }
}

#[test]
fn a_reset_forgets_the_calls_and_keeps_the_mode() {
    let mut breaker = opened(at(0));
    let late = new().admit(CallPurpose::Ordinary, at(0)).unwrap();
    breaker.reset(BreakerPolicy { window: 5, minimum_calls: 5, ..BreakerPolicy::default() }, at(1));
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
    breaker.record(late, FAILED, at(1));
    assert_eq!(breaker.status(at(1)).counts, CallCounts::default(), "a call of before does not count");
    (0..5).for_each(|_| call(&mut breaker, FAILED, at(2)));
    assert_eq!(breaker.phase(), BreakerPhase::Open, "the new policy applies");
    breaker.set_mode(BreakerMode::ForcedOpen, at(3));
    breaker.reset(BreakerPolicy::default(), at(4));
    let status = breaker.status(at(5));
    assert_eq!((status.mode, status.phase, status.since), (BreakerMode::ForcedOpen, BreakerPhase::Open, at(3)));
}

#[derive(Debug, Clone)]
enum BreakerAct {
    Admit,
    End(usize, CallOutcome),
    Wait(u64),
    Back(u64),
}

fn outcome() -> impl Strategy<Value = CallOutcome> {
    prop_oneof![Just(FINE), Just(FAILED), Just(SLOW), Just(AGAIN), Just(CallOutcome::Abandoned)]
}

fn acts() -> impl Strategy<Value = Vec<BreakerAct>> {
    let act = prop_oneof![
        6 => Just(BreakerAct::Admit),
        6 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| BreakerAct::End(which, outcome)),
        1 => (0u64..100_000).prop_map(BreakerAct::Wait),
    ];
    prop::collection::vec(act, 0..400)
}

/// A breaker, the time, and the calls that are under way.
struct World {
    breaker: Breaker,
    now: Timestamp,
    under_way: Vec<BreakerAdmission>,
}

impl World {
    fn new() -> Self {
        Self { breaker: new(), now: at(0), under_way: Vec::new() }
    }

    /// Applies `act`; returns whether a call was let through.
    fn act(&mut self, act: BreakerAct) -> bool {
        match act {
            BreakerAct::Admit => match self.breaker.admit(CallPurpose::Ordinary, self.now) {
                Ok(admission) => {
                    self.under_way.push(admission);
                    return true;
                }
                Err(BreakerRefusal { since, until: Some(until) }) => assert!(since <= until && self.now < until),
                Err(BreakerRefusal { until: None, .. }) => assert_eq!(self.breaker.mode(), BreakerMode::ForcedOpen),
            },
            BreakerAct::End(_, _) if self.under_way.is_empty() => {}
            BreakerAct::End(which, outcome) => {
                let admission = self.under_way.swap_remove(which % self.under_way.len());
                self.breaker.record(admission, outcome, self.now);
            }
            BreakerAct::Wait(millis) => self.now = self.now.plus_millis(millis),
            BreakerAct::Back(millis) => self.now = Timestamp::from_millis(self.now.as_millis().saturating_sub(millis)),
        }
        false
    }
}

proptest! {
    #[test]
    fn an_open_breaker_admits_nothing_before_its_time(acts in acts()) {
        let mut world = World::new();
        let mut open_until = None;
        for act in acts {
            let let_through = world.act(act);
            if let Some(until) = open_until {
                prop_assert!(!let_through || world.now >= until);
            }
            open_until = match world.breaker.state {
                BreakerState::Open { since, .. } => Some(since.plus_millis(60_000)),
                _ => None,
            };
        }
    }

    #[test]
    fn half_open_admits_at_most_ten_calls(acts in acts()) {
        let mut world = World::new();
        // The phase before each act, and the number of its calls that are under way or have
        // ended.
        let (mut phase, mut counted) = (0, 0);
        for act in acts {
            let given_up = matches!(act, BreakerAct::End(_, CallOutcome::Abandoned));
            let under_way = world.under_way.iter().filter(|one| one.phase == Some(phase)).count();
            let let_through = world.act(act);
            if world.breaker.phase != phase {
                (phase, counted) = (world.breaker.phase, 0);
            } else if given_up {
                counted -= under_way - world.under_way.iter().filter(|one| one.phase == Some(phase)).count();
            }
            counted += usize::from(let_through);
            prop_assert!(world.breaker.phase() != BreakerPhase::HalfOpen || counted <= 10);
        }
    }

    #[test]
    fn successful_calls_never_open_the_breaker(waits in prop::collection::vec((0u64..100_000, 0u64..=300_000), 0..200)) {
        let mut breaker = new();
        let mut now = at(0);
        for (wait, millis) in waits {
            let admission = breaker.admit(CallPurpose::Ordinary, now).unwrap();
            now = now.plus_millis(wait);
            breaker.record(admission, CallOutcome::Ended { failed: false, millis }, now);
            prop_assert_eq!(breaker.phase(), BreakerPhase::Closed);
        }
    }

    #[test]
    fn every_state_has_a_way_back_to_closed(
        acts in prop::collection::vec(acts(), 1..3),
        back in prop::option::of(0u64..10_000_000),
    ) {
        let mut world = World::new();
        for acts in acts {
            acts.into_iter().for_each(|act| { world.act(act); });
            if let Some(millis) = back {
                world.act(BreakerAct::Back(millis));
                // A request for admission updates the breaker to the current time.
                world.act(BreakerAct::Admit);
            }
        }
        if world.breaker.phase() != BreakerPhase::Closed {
            world.act(BreakerAct::Wait(120_000));
            (0..10).for_each(|_| call(&mut world.breaker, FINE, world.now));
            prop_assert_eq!(world.breaker.phase(), BreakerPhase::Closed);
        }
    }

    #[test]
    fn a_breaker_opens_exactly_if_the_last_calls_are_bad_enough(
        outcomes in prop::collection::vec((prop::bool::weighted(0.4), prop::bool::weighted(0.8)), 0..80)
    ) {
        let mut breaker = new();
        for n in 0..outcomes.len() {
            let (failed, slow) = outcomes[n];
            call(&mut breaker, CallOutcome::Ended { failed, millis: if slow { 300_001 } else { 1 } }, at(0));
            let last = &outcomes[(n + 1).saturating_sub(20)..=n];
            let failures = last.iter().filter(|(failed, _)| *failed).count();
            let opens = last.len() >= 10 && (failures * 2 >= last.len() || last.iter().all(|(_, slow)| *slow));
            prop_assert_eq!(breaker.phase() == BreakerPhase::Open, opens);
            if opens {
                break;
            }
        }
    }

    #[test]
    fn what_an_operator_decides_holds_until_they_decide_otherwise(
        before in acts(), mode in prop::sample::select(BreakerMode::ALL.to_vec()), during in acts(), after in acts(),
    ) {
        let mut world = World::new();
        before.into_iter().for_each(|act| { world.act(act); });
        world.breaker.set_mode(mode, world.now);
        for act in during {
            let asked = matches!(act, BreakerAct::Admit);
            let let_through = world.act(act);
            let status = world.breaker.status(world.now);
            match mode {
                BreakerMode::Automatic => {}
                BreakerMode::ForcedOpen => {
                    prop_assert!(!let_through && status.phase == BreakerPhase::Open && status.until.is_none());
                    prop_assert!(world.breaker.admit(CallPurpose::Compensation, world.now).is_err());
                }
                BreakerMode::ForcedClosed => {
                    prop_assert!(let_through == asked && status.phase == BreakerPhase::Closed);
                }
                BreakerMode::Disabled => {
                    prop_assert!(let_through == asked && status.counts == CallCounts::default());
                }
            }
        }
        if mode != BreakerMode::Automatic {
            let of_before = std::mem::take(&mut world.under_way);
            world.breaker.set_mode(BreakerMode::Automatic, world.now);
            let fresh = Breaker { phase: world.breaker.phase, ..Breaker::new(world.breaker.policy, world.now) };
            prop_assert_eq!(&world.breaker, &fresh);
            of_before.into_iter().for_each(|one| world.breaker.record(one, FAILED, world.now));
            prop_assert_eq!(&world.breaker, &fresh, "a call of before is no evidence");
        }
        after.into_iter().for_each(|act| { world.act(act); });
    }

    #[test]
    fn a_check_is_right_about_the_next_admission(acts in acts(), wait in 0u64..200_000) {
        let mut world = World::new();
        acts.into_iter().for_each(|act| { world.act(act); });
        world.act(BreakerAct::Wait(wait));
        let checked = world.breaker.check(world.now);
        prop_assert_eq!(checked, world.breaker.admit(CallPurpose::Ordinary, world.now).map(drop));
    }

    #[test]
    fn a_policy_is_clamped_to_its_bounds(
        numbers in any::<[u32; 5]>(), times in any::<[u64; 3]>(), awaits_first in any::<bool>(),
        acts in acts()
    ) {
        let [window, minimum_calls, failure_percent, slow_percent, half_open_calls] = numbers;
        let [slow_millis, open_millis, half_open_millis] = times;
        let policy = BreakerPolicy {
            window, minimum_calls, failure_percent, slow_percent, slow_millis, open_millis, half_open_calls,
            half_open_millis, awaits_first,
        };
        let mut breaker = Breaker::new(policy, at(0));
        prop_assert_eq!(breaker.policy.bounded(), breaker.policy);
        for act in acts {
            if let (BreakerAct::End(_, outcome), Ok(admission)) = (act, breaker.admit(CallPurpose::Ordinary, at(0))) {
                breaker.record(admission, outcome, at(0));
            }
        }
    }
}
