//! Compact form of schedules that are not due: their JSON text without default values.
//!
//! A schedule that can compute its times takes about half a KiB, and its cron expression another
//! half if no other schedule has the same one. The text takes a tenth. A host with a hundred
//! thousand schedules reads one of them when it is due.

use serde_json::Value;

use super::{MANIFEST_BYTES, schedules, write};
use crate::ids::ScheduleName;
use crate::schedule::{Schedule, ScheduleSpec};
use crate::wire::{ObjectField, json};

/// The schedules of one deployment, in the order of its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactSchedules(Box<[(ScheduleName, Box<str>)]>);

impl CompactSchedules {
    /// Returns the compact form of `schedules`.
    #[must_use]
    pub fn of(schedules: &[Schedule]) -> Self {
        Self(schedules.iter().map(|schedule| (schedule.name().clone(), words(schedule))).collect())
    }

    /// The names of the schedules.
    pub fn names(&self) -> impl Iterator<Item = &ScheduleName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Returns the schedule with that name.
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

/// Reads a compact schedule; `None` only for text that [`words`] does not write.
fn read(name: &ScheduleName, words: &str) -> Option<Schedule> {
    let mut value = json::parse(words.as_bytes(), MANIFEST_BYTES).ok()?;
    value.as_object_mut()?.insert("name".to_owned(), name.as_str().into());
    schedules::schedule(ObjectField { pointer: String::new(), value }, &mut Vec::new())
}
