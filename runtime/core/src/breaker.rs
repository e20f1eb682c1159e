//! A circuit breaker's rules: whether to let a call to a failing server through. Makes no calls.
//!
//! ```text
//! closed ──(too many failures or slow calls)──▶ open ──(its time is over)──▶ half-open
//!    ▲                                           ▲                              │
//!    └──────────────(calls succeed)──────────────┴─(calls fail or do not end)───┘
//! ```
//!
//! *Signals.* Failures alone miss a server that answers everything minutes late. Slowness alone
//! misses a server that refuses at once. The breaker counts both, over the last calls and not over
//! time, so that it also judges a deployment that calls once an hour.
//!
//! *Cold start.* The breaker stays closed until it has seen [`BreakerPolicy::minimum_calls`]
//! calls, so that the first failure decides nothing.
//!
//! *Recovery.* There is no timer: each request for admission updates the state. Half-open lets a
//! few calls through and decides when all of them have ended. It is bounded in time: at its end
//! the calls that have ended decide, even if there is only one, so that a deployment with rare
//! calls recovers too. If calls are under way and none has ended, the breaker opens again.
//!
//! *Compensation.* A call that undoes an earlier one passes a half-open breaker even if enough
//! calls are let through, because it must not use up its attempts while less important calls take
//! the slots. It then decides nothing.
//!
//! *Invariants.* In half-open, ended calls plus calls under way never exceed
//! [`BreakerPolicy::half_open_calls`], except for compensation. A call counts only in the phase
//! that let it through: a call from before the breaker opened is no evidence of recovery. If the
//! clock jumps back, no caller waits longer than one open phase.

use crate::ids::Timestamp;

/// Maximum size of the window, in calls.
pub const WINDOW_MAX: u32 = 64;

/// When a breaker opens and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Number of most recent calls that are judged; 1 to [`WINDOW_MAX`].
    pub window: u32,
    /// Minimum number of calls before the breaker can open; 1 to `window`.
    pub minimum_calls: u32,
    /// Share of failed calls at which it opens, in per cent; 1 to 100.
    pub failure_percent: u32,
    /// Share of slow calls at which it opens, in per cent; 1 to 100.
    pub slow_percent: u32,
    /// Duration above which a call is slow, in milliseconds.
    pub slow_millis: u64,
    /// Duration of the open phase, in milliseconds.
    pub open_millis: u64,
    /// Number of calls that half-open lets through; 1 to [`WINDOW_MAX`].
    pub half_open_calls: u32,
    /// Maximum duration of half-open, in milliseconds.
    pub half_open_millis: u64,
}

impl Default for BreakerPolicy {
    /// At least 10 of the last 20 calls; half of them failed, or all took longer than 5 minutes;
    /// open for 60 s; half-open for 10 calls or 60 s.
    ///
    /// Five minutes are half of the longest try: some healthy servers take a minute or two.
    fn default() -> Self {
        Self {
            window: 20,
            minimum_calls: 10,
            failure_percent: 50,
            slow_percent: 100,
            slow_millis: 5 * 60 * 1000,
            open_millis: 60 * 1000,
            half_open_calls: 10,
            half_open_millis: 60 * 1000,
        }
    }
}

impl BreakerPolicy {
    /// Returns the policy with each number clamped to its bounds.
    #[must_use]
    pub fn bounded(self) -> Self {
        let window = self.window.clamp(1, WINDOW_MAX);
        Self {
            window,
            minimum_calls: self.minimum_calls.clamp(1, window),
            failure_percent: self.failure_percent.clamp(1, 100),
            slow_percent: self.slow_percent.clamp(1, 100),
            half_open_calls: self.half_open_calls.clamp(1, WINDOW_MAX),
            ..self
        }
    }

    /// Whether enough of the calls were bad for the breaker to open.
    fn should_open(&self, seen: &CallWindow) -> bool {
        let share = |some: u64, percent: u32| some.count_ones() * 100 >= percent * seen.count;
        share(seen.failed, self.failure_percent) || share(seen.slow, self.slow_percent)
    }
}

/// The last calls, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CallWindow {
    count: u32,
    failed: u64,
    slow: u64,
}

impl CallWindow {
    /// Adds a call and drops calls that are more than `window` calls old.
    fn add(&mut self, failed: bool, slow: bool, window: u32) {
        let mask = u64::MAX >> WINDOW_MAX.saturating_sub(window).min(WINDOW_MAX - 1);
        self.failed = (self.failed << 1 | u64::from(failed)) & mask;
        self.slow = (self.slow << 1 | u64::from(slow)) & mask;
        self.count = (self.count + 1).min(window);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    /// Lets all calls through and observes them.
    Closed { seen: CallWindow },
    /// Lets no calls through.
    Open { since: Timestamp },
    /// Lets a few calls through and decides. `let_through` counts ended calls and calls under way.
    HalfOpen { opened: Timestamp, since: Timestamp, let_through: u32, seen: CallWindow },
}

/// Name of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPhase {
    /// All calls are let through.
    Closed,
    /// No calls are let through.
    Open,
    /// A few calls are let through; their outcomes decide the next state.
    HalfOpen,
}

/// Admission of one call. [`Breaker::record`] takes it back with the call's outcome.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that was let through ends in `Breaker::record`"]
pub struct BreakerAdmission {
    /// The phase that counts the call; `None` if the call exceeds what the phase counts.
    phase: Option<u64>,
}

/// The purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPurpose {
    /// Any other purpose.
    Ordinary,
    /// Undoes an earlier call, after a failure or a cancellation.
    Compensation,
}

/// A call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRefusal {
    /// When the breaker opened.
    pub since: Timestamp,
    /// Earliest time at which another attempt makes sense.
    pub until: Timestamp,
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call ended.
    Ended {
        /// Whether it failed by the fault of the called server.
        failed: bool,
        /// Its duration, in milliseconds.
        millis: u64,
    },
    /// It was abandoned or never made, and is no evidence about the called server.
    Abandoned,
}

/// One circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: BreakerState,
    /// Number of state changes.
    phase: u64,
}

impl Breaker {
    /// Returns a closed breaker that has seen no calls. Numbers of the policy that are out of
    /// bounds are clamped.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy: policy.bounded(), state: BreakerState::Closed { seen: CallWindow::default() }, phase: 0 }
    }

    /// The phase after the last admission or outcome.
    #[must_use]
    pub const fn phase(&self) -> BreakerPhase {
        match self.state {
            BreakerState::Closed { .. } => BreakerPhase::Closed,
            BreakerState::Open { .. } => BreakerPhase::Open,
            BreakerState::HalfOpen { .. } => BreakerPhase::HalfOpen,
        }
    }

    /// Requests admission for one call.
    ///
    /// # Errors
    /// [`BreakerRefusal`] while it is open, and in half-open if enough calls are let through,
    /// unless the call is for compensation.
    pub fn admit(&mut self, purpose: CallPurpose, now: Timestamp) -> Result<BreakerAdmission, BreakerRefusal> {
        self.catch_up(now);
        match &mut self.state {
            BreakerState::Closed { .. } => {}
            BreakerState::Open { since } => {
                return Err(BreakerRefusal { since: *since, until: since.plus_millis(self.policy.open_millis) });
            }
            BreakerState::HalfOpen { opened, since, let_through, .. } => {
                if *let_through >= self.policy.half_open_calls {
                    if purpose == CallPurpose::Compensation {
                        return Ok(BreakerAdmission { phase: None });
                    }
                    return Err(BreakerRefusal {
                        since: *opened,
                        until: since.plus_millis(self.policy.half_open_millis),
                    });
                }
                *let_through += 1;
            }
        }
        Ok(BreakerAdmission { phase: Some(self.phase) })
    }

    /// Records the outcome of a call. A call that an earlier phase let through changes nothing.
    pub fn record(&mut self, admission: BreakerAdmission, outcome: CallOutcome, now: Timestamp) {
        self.catch_up(now);
        if admission.phase != Some(self.phase) {
            return;
        }
        let policy = self.policy;
        match (&mut self.state, outcome) {
            // An open breaker lets no calls through, so none of its own phase can end.
            (BreakerState::Open { .. }, _) | (BreakerState::Closed { .. }, CallOutcome::Abandoned) => {}
            (BreakerState::HalfOpen { let_through, .. }, CallOutcome::Abandoned) => {
                *let_through = let_through.saturating_sub(1)
            }
            (BreakerState::Closed { seen }, CallOutcome::Ended { failed, millis }) => {
                seen.add(failed, millis > policy.slow_millis, policy.window);
                if seen.count >= policy.minimum_calls && policy.should_open(seen) {
                    self.enter(BreakerState::Open { since: now });
                }
            }
            (BreakerState::HalfOpen { seen, .. }, CallOutcome::Ended { failed, millis }) => {
                seen.add(failed, millis > policy.slow_millis, policy.half_open_calls);
                if seen.count >= policy.half_open_calls {
                    let decided = decide(&policy, seen, now);
                    self.enter(decided);
                }
            }
        }
    }

    /// Applies the transitions that are due at `now`.
    fn catch_up(&mut self, now: Timestamp) {
        let policy = self.policy;
        match &mut self.state {
            BreakerState::Closed { .. } => {}
            BreakerState::Open { since } => *since = now.min(*since),
            BreakerState::HalfOpen { opened, since, .. } => {
                *since = now.min(*since);
                *opened = now.min(*opened);
            }
        }
        if let BreakerState::HalfOpen { since, let_through, seen, .. } = &mut self.state {
            let end = since.plus_millis(policy.half_open_millis);
            if now >= end {
                if *let_through == 0 {
                    // All calls were abandoned by their callers, which is no evidence about the
                    // server.
                    *since = now;
                } else {
                    let decided = decide(&policy, seen, end);
                    self.enter(decided);
                }
            }
        }
        if let BreakerState::Open { since } = self.state
            && now >= since.plus_millis(policy.open_millis)
        {
            self.enter(BreakerState::HalfOpen {
                opened: since,
                since: now,
                let_through: 0,
                seen: CallWindow::default(),
            });
        }
    }

    const fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.phase += 1;
    }
}

/// Returns the state after half-open.
fn decide(policy: &BreakerPolicy, seen: &CallWindow, now: Timestamp) -> BreakerState {
    if seen.count == 0 || policy.should_open(seen) {
        BreakerState::Open { since: now }
    } else {
        BreakerState::Closed { seen: CallWindow::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FINE: CallOutcome = CallOutcome::Ended { failed: false, millis: 5 };
    const FAILED: CallOutcome = CallOutcome::Ended { failed: true, millis: 5 };
    const SLOW: CallOutcome = CallOutcome::Ended { failed: false, millis: 300_001 };

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis)
    }

    fn new() -> Breaker {
        Breaker::new(BreakerPolicy::default())
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
            Err(BreakerRefusal { since: at(1), until: at(60_001) })
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
            let let_through: Vec<_> =
                (0..10).map(|_| breaker.admit(CallPurpose::Ordinary, at(60_000)).unwrap()).collect();
            assert_eq!(
                breaker.admit(CallPurpose::Ordinary, at(60_001)),
                Err(BreakerRefusal { since: at(0), until: at(120_000) })
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
            Err(BreakerRefusal { since: at(120_000), until: at(180_000) })
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

    #[derive(Debug, Clone)]
    enum Act {
        Admit,
        End(usize, CallOutcome),
        Wait(u64),
        Back(u64),
    }

    fn outcome() -> impl Strategy<Value = CallOutcome> {
        prop_oneof![Just(FINE), Just(FAILED), Just(SLOW), Just(CallOutcome::Abandoned)]
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            6 => Just(Act::Admit),
            6 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Act::End(which, outcome)),
            1 => (0u64..100_000).prop_map(Act::Wait),
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
        fn act(&mut self, act: Act) -> bool {
            match act {
                Act::Admit => match self.breaker.admit(CallPurpose::Ordinary, self.now) {
                    Ok(admission) => {
                        self.under_way.push(admission);
                        return true;
                    }
                    Err(refusal) => assert!(refusal.since <= refusal.until && self.now < refusal.until),
                },
                Act::End(_, _) if self.under_way.is_empty() => {}
                Act::End(which, outcome) => {
                    let admission = self.under_way.swap_remove(which % self.under_way.len());
                    self.breaker.record(admission, outcome, self.now);
                }
                Act::Wait(millis) => self.now = self.now.plus_millis(millis),
                Act::Back(millis) => self.now = Timestamp::from_millis(self.now.as_millis().saturating_sub(millis)),
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
                    BreakerState::Open { since } => Some(since.plus_millis(60_000)),
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
                let given_up = matches!(act, Act::End(_, CallOutcome::Abandoned));
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
                    world.act(Act::Back(millis));
                    // A request for admission updates the breaker to the current time.
                    world.act(Act::Admit);
                }
            }
            if world.breaker.phase() != BreakerPhase::Closed {
                world.act(Act::Wait(120_000));
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
        fn a_policy_is_clamped_to_its_bounds(
            numbers in any::<[u32; 5]>(), times in any::<[u64; 3]>(), acts in acts()
        ) {
            let [window, minimum_calls, failure_percent, slow_percent, half_open_calls] = numbers;
            let [slow_millis, open_millis, half_open_millis] = times;
            let policy = BreakerPolicy {
                window, minimum_calls, failure_percent, slow_percent, slow_millis, open_millis, half_open_calls,
                half_open_millis,
            };
            let mut breaker = Breaker::new(policy);
            prop_assert_eq!(breaker.policy.bounded(), breaker.policy);
            for act in acts {
                if let (Act::End(_, outcome), Ok(admission)) = (act, breaker.admit(CallPurpose::Ordinary, at(0))) {
                    breaker.record(admission, outcome, at(0));
                }
            }
        }
    }
}
