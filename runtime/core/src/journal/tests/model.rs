//! The journal against a model: random calls, steps, failures, truncations, saves and crashes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

type Check = Result<(), TestCaseError>;

/// Name and ordinal of each step, from the outside in.
type Names = Vec<(&'static str, u32)>;

#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Call { kind: Kind, request: u8, result: Vec<u8> },
    Refused { step: Names, failure: Vec<u8> },
    Open { step: Names, attempt: u32, not_before: u64 },
    Done { step: Names, gave_up: bool, result: Vec<u8> },
}

#[derive(Debug, Clone, Default)]
struct Model {
    log: Vec<Entry>,
    saved: Vec<Entry>,
    store: Vec<Bytes>,
    /// Index of the next entry, ended steps included.
    next: usize,
    live: bool,
    /// Whether an entry was met out of order.
    shuffled: bool,
    /// The open steps, and the steps begun within each.
    open: Names,
    begun: Vec<BTreeMap<&'static str, u32>>,
    clock: u64,
}

#[derive(Debug, Clone)]
enum Act {
    Call {
        kind: usize,
        request: u8,
        size: usize,
    },
    /// A number of small calls at once.
    Many(u8),
    Begin {
        name: usize,
        refuse: bool,
    },
    Again,
    Done {
        size: usize,
        gave_up: bool,
    },
    /// Replays this number of entries.
    Follow(u8),
    Truncate(u8),
    Rewind,
    Save,
    Refuse,
    Crash,
}

const KINDS: [Kind; 3] = [Kind::Now, Kind::StateGet, Kind::Fetch];
const NAMES: [&str; 3] = ["a", "b", "a longer name"];

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..40usize, 5 => 500..1500usize, 2 => 7900..8300usize, 1 => Just(20_000)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3usize, 0..3u8, size()).prop_map(|(kind, request, size)| Act::Call { kind, request, size }),
        2 => (1..200u8).prop_map(Act::Many),
        8 => (0..3usize, prop::bool::weighted(0.1)).prop_map(|(name, refuse)| Act::Begin { name, refuse }),
        2 => Just(Act::Again),
        7 => (size(), prop::bool::weighted(0.2)).prop_map(|(size, gave_up)| Act::Done { size, gave_up }),
        5 => any::<u8>().prop_map(Act::Follow),
        1 => any::<u8>().prop_map(Act::Truncate),
        1 => Just(Act::Rewind),
        4 => Just(Act::Save),
        1 => Just(Act::Refuse),
        1 => Just(Act::Crash),
    ]
}

fn hash(request: u8) -> Hash {
    [request; 16]
}

impl Model {
    fn new() -> Self {
        Self { begun: vec![BTreeMap::new()], live: false, ..Self::default() }
    }

    fn rewind(&mut self) {
        (self.next, self.live, self.shuffled) = (0, false, false);
        self.open.clear();
        self.begun = vec![BTreeMap::new()];
    }

    /// The next entry in order.
    fn ahead(&self) -> Option<(usize, &Entry)> {
        let mut rest = self.log.iter().enumerate().skip(self.next);
        rest.find(|(_, entry)| !matches!(entry, Entry::Done { .. })).filter(|_| !self.live)
    }

    /// Each entry has a time and fuel of its own, which also decrease, so that deltas of every
    /// kind occur.
    fn tick(&mut self) -> (Timestamp, Fuel) {
        self.clock = self.clock.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (Timestamp::from_millis(self.clock >> 24), Fuel::new(self.clock >> (self.clock % 64)))
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|i| (self.clock as usize + i) as u8).collect()
    }

    fn call(&mut self, journal: &mut Journal, kind: Kind, request: u8, size: usize) -> Check {
        let met = journal.call(kind, hash(request));
        match self.ahead() {
            None => {
                prop_assert_eq!(met, Ok(CallReplay::Live));
                self.live = true;
                let ((at, fuel), result) = (self.tick(), self.bytes(size));
                let entry =
                    NewEntry { kind, request: hash(request), result: &result, at, fuel, shown: Some(&[request]) };
                journal.record(entry);
                self.log.push(Entry::Call { kind, request, result });
            }
            Some((index, Entry::Call { kind: k, request: r, result })) if *k == kind && *r == request => {
                let Ok(CallReplay::Recorded(recorded)) = met else {
                    return Err(TestCaseError::fail(format!("{met:?}")));
                };
                prop_assert_eq!(&recorded.result[..], &result[..]);
                self.next = index + 1;
            }
            Some(_) => prop_assert!(met.is_err()),
        }
        Ok(())
    }

    fn begin(&mut self, journal: &mut Journal, name: &'static str, refuse: bool) -> Check {
        let met = journal.begin_step(name);
        let begun = self.begun.last_mut().unwrap().entry(name).or_default();
        *begun += 1;
        let mut step = self.open.clone();
        step.push((name, *begun));
        let ended = self.log.iter().find_map(|entry| match entry {
            Entry::Done { step: s, gave_up, result } if *s == step => Some((*gave_up, result)),
            _ => None,
        });
        if let Some((gave_up, bytes)) = ended {
            match met {
                Ok(StepReplay::Completed { result, .. }) if !gave_up => prop_assert_eq!(&result[..], &bytes[..]),
                Ok(StepReplay::GaveUp { failure, .. }) if gave_up => prop_assert_eq!(&failure[..], &bytes[..]),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
            return Ok(());
        }
        match self.ahead() {
            None => {
                let Ok(StepReplay::New { id }) = met else { return Err(TestCaseError::fail(format!("{met:?}"))) };
                self.live = true;
                let (at, fuel) = self.tick();
                if refuse {
                    journal.refuse_step(id, b"refused", at, fuel);
                    self.log.push(Entry::Refused { step, failure: b"refused".to_vec() });
                } else {
                    journal.open_step(id, 1, at, fuel);
                    self.log.push(Entry::Open { step: step.clone(), attempt: 1, not_before: 0 });
                    self.enter(step);
                }
            }
            Some((index, Entry::Open { step: s, attempt, not_before })) if *s == step => {
                let Ok(StepReplay::Resumed { attempt: a, not_before: n, .. }) = met else {
                    return Err(TestCaseError::fail(format!("{met:?}")));
                };
                prop_assert_eq!((a, n.as_millis()), (*attempt, *not_before));
                self.next = index + 1;
                self.enter(step);
            }
            Some((index, Entry::Refused { step: s, failure })) if *s == step => {
                let Ok(StepReplay::Refused { failure: f, .. }) = met else {
                    return Err(TestCaseError::fail(format!("{met:?}")));
                };
                prop_assert_eq!(&f[..], &failure[..]);
                self.next = index + 1;
            }
            Some(_) => prop_assert!(met.is_err()),
        }
        Ok(())
    }

    fn enter(&mut self, step: Names) {
        self.open = step;
        self.begun.push(BTreeMap::new());
    }

    /// Index of the innermost step's beginning, if the step can end now.
    fn closes(&self) -> Option<(usize, u32)> {
        let at = self.log.iter().position(|e| matches!(e, Entry::Open { step, .. } if *step == self.open))?;
        let Entry::Open { attempt, .. } = &self.log[at] else { return None };
        self.ahead().is_none().then_some((at, *attempt))
    }

    fn again(&mut self, journal: &mut Journal) -> Check {
        let Some(id) = journal.innermost() else { return Ok(()) };
        let Some((from, attempt)) = self.closes() else {
            prop_assert!(journal.step_again(id, 9, at(1), at(1), Fuel::new(1)).is_err());
            return Ok(());
        };
        let (at, fuel) = self.tick();
        journal.step_again(id, attempt + 1, at, at, fuel).map_err(|e| TestCaseError::fail(e.to_string()))?;
        self.log.truncate(from);
        self.log.push(Entry::Open { step: self.open.clone(), attempt: attempt + 1, not_before: at.as_millis() });
        self.live = true;
        self.begun.last_mut().unwrap().clear();
        Ok(())
    }

    fn done(&mut self, journal: &mut Journal, size: usize, gave_up: bool) -> Check {
        let Some(id) = journal.innermost() else { return Ok(()) };
        let Some((from, _)) = self.closes() else {
            prop_assert!(journal.step_done(id, Ok(b""), at(1), Fuel::new(1)).is_err());
            return Ok(());
        };
        let ((at, fuel), bytes) = (self.tick(), self.bytes(size));
        let result = if gave_up { Err(&bytes[..]) } else { Ok(&bytes[..]) };
        journal.step_done(id, result, at, fuel).map_err(|e| TestCaseError::fail(e.to_string()))?;
        self.log.truncate(from);
        self.log.push(Entry::Done { step: self.open.clone(), gave_up, result: bytes });
        self.live = true;
        self.open.pop();
        self.begun.pop();
        Ok(())
    }

    /// Replays the next entry of the record; returns false at its end.
    fn follow(&mut self, journal: &mut Journal) -> Result<bool, TestCaseError> {
        if self.live {
            return Ok(false);
        }
        let Some(entry) = self.log.get(self.next).cloned() else { return Ok(false) };
        match entry {
            Entry::Call { kind, request, result } if journal.replayed().get() == self.next as u64 => {
                let recorded = journal.next_if(kind, hash(request)).map(|recorded| recorded.result.to_vec());
                prop_assert_eq!(recorded, Some(result));
                self.next += 1;
            }
            Entry::Call { kind, request, .. } => self.call(journal, kind, request, 0)?,
            Entry::Open { step, .. } | Entry::Refused { step, .. } => {
                self.begin(journal, step.last().unwrap().0, false)?;
            }
            Entry::Done { step, .. } => {
                let in_order = journal.replayed().get() == self.next as u64 && !self.shuffled;
                let (name, ordinal) = *step.last().unwrap();
                let begun = self.begun.last().unwrap().get(name).copied().unwrap_or(0);
                if step[..step.len() - 1] == self.open && begun + 1 == ordinal {
                    if let Some((_, Entry::Call { kind, request, .. })) = self.ahead().filter(|_| in_order) {
                        prop_assert_eq!(journal.next_if(*kind, hash(*request)), None);
                    }
                    self.begin(journal, name, false)?;
                    let after = journal.replayed().get();
                    prop_assert!(!in_order || after == self.next as u64 + 1 || journal.is_live());
                }
                self.next += 1;
            }
        }
        Ok(true)
    }

    fn save(&mut self, journal: &mut Journal) -> Check {
        if let Some(change) = journal.change() {
            prop_assert!(change.from as usize <= self.store.len());
            self.store.truncate(change.from as usize);
            self.store.extend(change.chunks);
        }
        prop_assert!(journal.change().is_none());
        prop_assert_eq!(journal.bytes(), self.store.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
        self.saved.clone_from(&self.log);
        let loaded = Journal::load(self.store.clone()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        self.same(&loaded)?;
        prop_assert_eq!(shown(&loaded), shown(journal));
        prop_assert_eq!((loaded.last_at(), loaded.last_fuel()), (journal.last_at(), journal.last_fuel()));
        Ok(())
    }

    fn act(&mut self, journal: &mut Journal, act: &Act) -> Check {
        match *act {
            Act::Call { kind, request, size } => self.call(journal, KINDS[kind], request, size)?,
            Act::Many(count) => {
                for _ in 0..count {
                    self.call(journal, Kind::Attempt, 7, 20)?;
                }
            }
            Act::Begin { name, refuse } => {
                self.shuffled = true;
                self.begin(journal, NAMES[name], refuse)?;
            }
            Act::Again => self.again(journal)?,
            Act::Done { size, gave_up } => self.done(journal, size, gave_up)?,
            Act::Follow(count) => {
                for _ in 0..count {
                    if !self.follow(journal)? {
                        break;
                    }
                }
            }
            Act::Truncate(part) => {
                let to = self.log.len() * usize::from(part) / 255;
                journal.truncate(Position::new(to as u64));
                self.log.truncate(to);
                self.rewind();
            }
            Act::Rewind => {
                journal.rewind();
                self.rewind();
            }
            Act::Save => self.save(journal)?,
            Act::Refuse => {
                if journal.change().is_some() {
                    journal.not_written();
                }
            }
            Act::Crash => {
                *journal = Journal::load(self.store.clone()).map_err(|e| TestCaseError::fail(e.to_string()))?;
                self.log.clone_from(&self.saved);
                self.rewind();
            }
        }
        prop_assert_eq!(journal.entries(), self.log.len() as u64);
        prop_assert_eq!(journal.open_steps(), self.open.len());
        prop_assert_eq!(journal.step_path(), path(&self.open));
        if self.live {
            prop_assert!(journal.is_live());
        } else if self.ahead().is_some() {
            prop_assert!(!journal.is_live());
        }
        Ok(())
    }

    /// Checks that the journal's entries for people equal the model's list.
    fn same(&self, journal: &Journal) -> Check {
        let shown = shown(journal);
        prop_assert_eq!(shown.len(), self.log.len());
        for (index, (shown, entry)) in shown.iter().zip(&self.log).enumerate() {
            prop_assert_eq!(shown.seq, index as u64 + 1);
            let (kind, step, result) = match entry {
                Entry::Call { kind, result, .. } => (kind.name(), None, &result[..]),
                Entry::Refused { failure, .. } => (Kind::BeginStep.name(), None, &failure[..]),
                Entry::Open { step, .. } => ("step-begun", Some(step), &[][..]),
                Entry::Done { step, gave_up: false, result } => ("step-done", Some(step), &result[..]),
                Entry::Done { step, gave_up: true, result } => ("step-gave-up", Some(step), &result[..]),
            };
            prop_assert_eq!((shown.kind, &shown.result[..]), (kind, result));
            if let Some(step) = step {
                prop_assert_eq!(&shown.step, &path(step));
            }
        }
        Ok(())
    }
}

fn path(step: &Names) -> String {
    let part =
        |(name, ordinal): &(&str, u32)| if *ordinal > 1 { format!("{name}#{ordinal}") } else { (*name).to_owned() };
    step.iter().map(part).collect::<Vec<_>>().join("/")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_answers_as_its_model_does(acts in prop::collection::vec(act(), 0..80)) {
        let (mut journal, mut model) = (Journal::empty(), Model::new());
        for act in &acts {
            model.act(&mut journal, act)?;
        }
        model.save(&mut journal)?;
        model.act(&mut journal, &Act::Crash)?;
        while model.follow(&mut journal)? {}
        prop_assert!(journal.end().is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_that_is_truncated_after_any_entry_replays_the_rest_and_continues(acts in prop::collection::vec(act(), 0..40)) {
        let (mut journal, mut model) = (Journal::empty(), Model::new());
        for act in &acts {
            model.act(&mut journal, act)?;
        }
        model.save(&mut journal)?;
        let len = model.log.len();
        for to in (0..=len).step_by((len / 60).max(1)) {
            let (mut model, mut journal) = (model.clone(), Journal::load(model.store.clone()).unwrap());
            journal.truncate(Position::new(to as u64));
            model.log.truncate(to);
            model.rewind();
            while model.follow(&mut journal)? {}
            prop_assert!(journal.end().is_ok());
            model.call(&mut journal, Kind::Publish, 9, 30)?;
            model.save(&mut journal)?;
        }
    }
}
