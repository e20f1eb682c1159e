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
//! calls recovers too. If calls are under way and none has ended, the breaker opens again, unless
//! the policy states that calls end by themselves and may take long
//! ([`BreakerPolicy::awaits_first`]): then the first one to end decides.
//!
//! *Compensation.* A call that undoes an earlier one passes a half-open breaker even if enough
//! calls are let through, because it must not use up its attempts while less important calls take
//! the slots. It then decides nothing.
//!
//! *Operators.* A [`BreakerMode`] other than [`BreakerMode::Automatic`] keeps the breaker in one
//! state, whatever calls do. Leaving it starts again with a closed breaker that has seen nothing.
//!
//! *Invariants.* In half-open, ended calls plus calls under way never exceed
//! [`BreakerPolicy::half_open_calls`], except for compensation. A call counts only in the phase
//! that let it through: a call from before the breaker opened is no evidence of recovery. If the
//! clock jumps back, no caller waits longer than one open phase.

use serde::{Deserialize, Serialize};

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
    /// Whether half-open waits beyond its maximum for the first call to end. Otherwise the breaker
    /// opens again if calls are under way then.
    pub awaits_first: bool,
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
            awaits_first: false,
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

    const fn counts(&self) -> CallCounts {
        CallCounts { calls: self.count, failed: self.failed.count_ones(), slow: self.slow.count_ones() }
    }
}

/// Who decides about a breaker's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BreakerMode {
    /// The outcomes of the calls.
    #[default]
    Automatic,
    /// An operator: no calls are let through, not even for compensation.
    ForcedOpen,
    /// An operator: all calls are let through and counted, and the breaker never opens.
    ForcedClosed,
    /// An operator: all calls are let through, and none is counted.
    Disabled,
}

impl BreakerMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Automatic, Self::ForcedOpen, Self::ForcedClosed, Self::Disabled];

    /// Returns the mode's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ForcedOpen => "forced-open",
            Self::ForcedClosed => "forced-closed",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    /// Lets all calls through and observes them.
    Closed { since: Timestamp, seen: CallWindow },
    /// Lets no calls through. `seen` are the calls that opened it.
    Open { since: Timestamp, seen: CallWindow },
    /// Lets a few calls through and decides. `let_through` counts ended calls and calls under way.
    /// Its time runs from `since`, which moves on while no call comes.
    HalfOpen { opened: Timestamp, began: Timestamp, since: Timestamp, let_through: u32, seen: CallWindow },
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

impl BreakerPhase {
    /// Returns the phase's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
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
    /// Earliest time at which another attempt makes sense; `None` if an operator keeps it open.
    pub until: Option<Timestamp>,
}

/// A number of judged calls, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Number of calls.
    pub calls: u32,
    /// Number of those that failed.
    pub failed: u32,
    /// Number of those that were slow.
    pub slow: u32,
}

/// The state of a breaker at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Who decides about the phase.
    pub mode: BreakerMode,
    /// The phase.
    pub phase: BreakerPhase,
    /// When the phase or the mode began.
    pub since: Timestamp,
    /// When an open breaker becomes half-open, or when half-open decides by its time.
    pub until: Option<Timestamp>,
    /// Closed: the last calls. Open: the calls that opened it. Half-open: its ended calls.
    pub counts: CallCounts,
    /// Changes with each change of phase and mode.
    pub number: u64,
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
    /// It failed as an earlier call for the same work had failed. A closed breaker does not count
    /// it again, so that no single piece of work opens it; half-open it counts as failed.
    FailedAgain {
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
    mode: BreakerMode,
    /// The state that calls decide about. While an operator decides, it is closed.
    state: BreakerState,
    /// Number of changes of state and mode.
    phase: u64,
}

impl Breaker {
    /// Returns a closed breaker that has seen no calls. Numbers of the policy that are out of
    /// bounds are clamped.
    #[must_use]
    pub fn new(policy: BreakerPolicy, now: Timestamp) -> Self {
        Self { policy: policy.bounded(), mode: BreakerMode::Automatic, state: BreakerState::closed(now), phase: 0 }
    }

    /// The phase after the last admission or outcome.
    #[must_use]
    pub const fn phase(&self) -> BreakerPhase {
        match (self.mode, self.state) {
            (BreakerMode::ForcedOpen, _) => BreakerPhase::Open,
            (BreakerMode::ForcedClosed | BreakerMode::Disabled, _) => BreakerPhase::Closed,
            (BreakerMode::Automatic, BreakerState::Closed { .. }) => BreakerPhase::Closed,
            (BreakerMode::Automatic, BreakerState::Open { .. }) => BreakerPhase::Open,
            (BreakerMode::Automatic, BreakerState::HalfOpen { .. }) => BreakerPhase::HalfOpen,
        }
    }

    /// Returns who decides about the state.
    #[must_use]
    pub const fn mode(&self) -> BreakerMode {
        self.mode
    }

    /// Returns the number of changes of state and mode so far.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.phase
    }

    /// Sets who decides about the state. If that changes, the breaker forgets all calls and, once
    /// it is automatic, is closed.
    pub fn set_mode(&mut self, mode: BreakerMode, now: Timestamp) {
        if mode != self.mode {
            self.mode = mode;
            self.enter(BreakerState::closed(now));
        }
    }

    /// Forgets all calls, and closes the breaker if it is automatic, because what is called has
    /// changed. Numbers of the policy that are out of bounds are clamped.
    pub fn reset(&mut self, policy: BreakerPolicy, now: Timestamp) {
        self.policy = policy.bounded();
        let since = match (self.mode, self.state) {
            // What an operator decided holds.
            (BreakerMode::Automatic, _) => now,
            (_, BreakerState::Closed { since, .. }) => since,
            _ => now,
        };
        self.enter(BreakerState::closed(since));
    }

    /// Returns the state at `now`.
    pub fn status(&mut self, now: Timestamp) -> BreakerStatus {
        self.catch_up(now);
        let (since, until, seen) = match self.state {
            BreakerState::Closed { since, seen } => (since, None, seen),
            BreakerState::Open { since, seen } => (since, Some(since.plus_millis(self.policy.open_millis)), seen),
            BreakerState::HalfOpen { began, since, let_through, seen, .. } => {
                let end = since.plus_millis(self.policy.half_open_millis);
                // Without a call there is nothing to decide, and beyond its time the first decides.
                (began, Some(end).filter(|end| let_through > 0 && *end > now), seen)
            }
        };
        let (mode, phase, number, counts) = (self.mode, self.phase(), self.phase, seen.counts());
        BreakerStatus { mode, phase, since, until, counts, number }
    }

    /// Checks whether an ordinary call would be let through now.
    ///
    /// # Errors
    /// As [`Breaker::admit`].
    pub fn check(&mut self, now: Timestamp) -> Result<(), BreakerRefusal> {
        self.catch_up(now);
        match (self.mode, self.state) {
            (BreakerMode::ForcedClosed | BreakerMode::Disabled, _) => Ok(()),
            (BreakerMode::ForcedOpen, BreakerState::Closed { since, .. }) => Err(BreakerRefusal { since, until: None }),
            (_, BreakerState::Closed { .. }) => Ok(()),
            (_, BreakerState::Open { since, .. }) => {
                Err(BreakerRefusal { since, until: Some(since.plus_millis(self.policy.open_millis)) })
            }
            (_, BreakerState::HalfOpen { opened, since, let_through, .. }) => {
                if let_through < self.policy.half_open_calls {
                    return Ok(());
                }
                // A phase that awaits its first call may last longer than its maximum.
                let end = since.plus_millis(self.policy.half_open_millis).max(now.plus_millis(1));
                Err(BreakerRefusal { since: opened, until: Some(end) })
            }
        }
    }

    /// Requests admission for one call.
    ///
    /// # Errors
    /// [`BreakerRefusal`] while it is open, and in half-open if enough calls are let through,
    /// unless the call is for compensation.
    pub fn admit(&mut self, purpose: CallPurpose, now: Timestamp) -> Result<BreakerAdmission, BreakerRefusal> {
        if let Err(refusal) = self.check(now) {
            let beyond = purpose == CallPurpose::Compensation && self.phase() == BreakerPhase::HalfOpen;
            return if beyond { Ok(BreakerAdmission { phase: None }) } else { Err(refusal) };
        }
        if let BreakerState::HalfOpen { let_through, .. } = &mut self.state {
            *let_through += 1;
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
        let (failed, millis, again) = match outcome {
            CallOutcome::Ended { failed, millis } => (failed, millis, false),
            CallOutcome::FailedAgain { millis } => (true, millis, true),
            CallOutcome::Abandoned => return self.abandon(admission),
        };
        let slow = millis > policy.slow_millis;
        match (&mut self.state, self.mode) {
            // An open breaker lets no calls through, so none of its own phase can end.
            (BreakerState::Open { .. }, _) | (_, BreakerMode::Disabled | BreakerMode::ForcedOpen) => {}
            (BreakerState::Closed { .. }, _) if again => {}
            (BreakerState::Closed { seen, .. }, mode) => {
                seen.add(failed, slow, policy.window);
                let seen = *seen;
                if mode == BreakerMode::Automatic && seen.count >= policy.minimum_calls && policy.should_open(&seen) {
                    self.enter(BreakerState::Open { since: now, seen });
                }
            }
            (BreakerState::HalfOpen { since, seen, .. }, _) => {
                seen.add(failed, slow, policy.half_open_calls);
                if seen.count >= policy.half_open_calls || now >= since.plus_millis(policy.half_open_millis) {
                    let decided = decide(&policy, seen, now);
                    self.enter(decided);
                }
            }
        }
    }

    /// Records that a call was abandoned, which is no evidence, and returns its place in half-open.
    pub fn abandon(&mut self, admission: BreakerAdmission) {
        if let BreakerState::HalfOpen { let_through, .. } = &mut self.state
            && admission.phase == Some(self.phase)
        {
            *let_through = let_through.saturating_sub(1);
        }
    }

    /// Applies the transitions that are due at `now`.
    fn catch_up(&mut self, now: Timestamp) {
        let policy = self.policy;
        match &mut self.state {
            BreakerState::Closed { .. } => {}
            BreakerState::Open { since, .. } => *since = now.min(*since),
            BreakerState::HalfOpen { opened, began, since, .. } => {
                for time in [opened, began, since] {
                    *time = now.min(*time);
                }
            }
        }
        if let BreakerState::HalfOpen { since, let_through, seen, .. } = &mut self.state {
            let end = since.plus_millis(policy.half_open_millis);
            if now >= end {
                if *let_through == 0 {
                    // All calls were abandoned by their callers, which is no evidence about the
                    // server.
                    *since = now;
                } else if seen.count > 0 || !policy.awaits_first {
                    let decided = decide(&policy, seen, end);
                    self.enter(decided);
                }
            }
        }
        if let BreakerState::Open { since, .. } = self.state
            && now >= since.plus_millis(policy.open_millis)
        {
            self.try_now(now);
        }
    }

    /// Makes an open breaker half-open before its time. Has no effect on any other.
    pub fn try_now(&mut self, now: Timestamp) {
        if let BreakerState::Open { since: opened, .. } = self.state {
            let seen = CallWindow::default();
            self.enter(BreakerState::HalfOpen { opened, began: now, since: now, let_through: 0, seen });
        }
    }

    const fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.phase += 1;
    }
}

impl BreakerState {
    /// Returns a closed state that has seen no calls.
    fn closed(since: Timestamp) -> Self {
        Self::Closed { since, seen: CallWindow::default() }
    }
}

/// Returns the state after half-open.
fn decide(policy: &BreakerPolicy, seen: &CallWindow, now: Timestamp) -> BreakerState {
    if seen.count == 0 || policy.should_open(seen) {
        BreakerState::Open { since: now, seen: *seen }
    } else {
        BreakerState::closed(now)
    }
}

#[cfg(test)]
mod tests;
