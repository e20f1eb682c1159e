//! Schedules while none of them is due: their words, without what a default says anyway.
//!
//! A schedule that can be computed with takes about half a KiB, and its cron expression one more where no other schedule has the
//! same; its words take a tenth. A host with a hundred thousand of them reads one when its time has come.

use serde_json::Value;

use super::{MANIFEST_BYTES, schedules, write};
use crate::ids::ScheduleName;
use crate::schedule::{Schedule, ScheduleSpec};
use crate::wire::{ObjectField, json};

/// The schedules of one deployment, in the order of its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactSchedules(Box<[(ScheduleName, Box<str>)]>);

impl CompactSchedules {
    /// The words of `schedules`.
    #[must_use]
    pub fn of(schedules: &[Schedule]) -> Self {
        Self(schedules.iter().map(|schedule| (schedule.name().clone(), words(schedule))).collect())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &ScheduleName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The schedule of that name.
    #[must_use]
    pub fn get(&self, name: &ScheduleName) -> Option<Schedule> {
        self.0.iter().find(|(known, _)| known == name).and_then(|(name, words)| read(name, words))
    }
}

fn words(schedule: &Schedule) -> Box<str> {
    let of = |spec: &ScheduleSpec| match write::schedule(spec) {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let defaults = of(&ScheduleSpec::new(schedule.name().clone()));
    let mut fields = of(schedule.spec());
    fields.retain(|field, value| defaults.get(field) != Some(value));
    Value::Object(fields).to_string().into()
}

/// None only where the words are not those of a schedule, which [`words`] does not write.
fn read(name: &ScheduleName, words: &str) -> Option<Schedule> {
    let mut value = json::parse(words.as_bytes(), MANIFEST_BYTES).ok()?;
    value.as_object_mut()?.insert("name".to_owned(), name.as_str().into());
    schedules::schedule(ObjectField { pointer: String::new(), value }, &mut Vec::new())
}
