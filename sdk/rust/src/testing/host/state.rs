//! `state`: the committed values, overlaid by the writes of this run.

use super::types::Failure as WitFailure;
use super::{Bytes, current, shown};
pub(crate) use crate::bindings::imports::tidemill::guest::state::{Entry, Page};
use crate::testing::limits;
use crate::testing::run::Fake;
use std::collections::BTreeMap;
use tidemill_core::Failure;

pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, WitFailure> {
    let fake = current();
    let found = fake.fallible("state.get", key, || {
        limits::key(key)?;
        Ok(read(&fake, key)?.map(Bytes::from))
    });
    found.map(|found| found.map(Vec::from)).map_err(WitFailure::from)
}

pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), WitFailure> {
    let fake = current();
    let request = format!("{key} = {}", shown(value));
    fake.fallible("state.set", &request, || write(&fake, key, Some(value))).map_err(WitFailure::from)
}

pub(crate) fn delete(key: &str) -> Result<(), WitFailure> {
    let fake = current();
    fake.fallible("state.delete", key, || write(&fake, key, None)).map_err(WitFailure::from)
}

pub(crate) fn compare_and_set(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, WitFailure> {
    let fake = current();
    let request = format!("{key} from {} to {}", expected.map_or_else(|| "nothing".to_owned(), shown), shown(value));
    fake.fallible("state.compare-and-set", &request, || {
        limits::key(key)?;
        limits::value(value)?;
        let holds = read(&fake, key)?.as_deref() == expected;
        if holds {
            write(&fake, key, Some(value))?;
        }
        fake.write(|layer| layer.claimed = true);
        Ok(holds)
    })
    .map_err(WitFailure::from)
}

pub(crate) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, WitFailure> {
    let fake = current();
    let request = format!("{prefix} after {} limit {limit}", after.unwrap_or("nothing"));
    let found = fake.fallible("state.scan", &request, || {
        limits::prefix(prefix)?;
        limits::prefix(after.unwrap_or_default())?;
        limits::page(limit)?;
        fake.has_room()?;
        let mut all: BTreeMap<String, Vec<u8>> =
            fake.world.borrow().state.get(&fake.deployment).cloned().unwrap_or_default();
        for layer in &fake.run.borrow().layers {
            for (key, value) in &layer.writes {
                match value {
                    Some(value) => all.insert(key.clone(), value.clone()),
                    None => all.remove(key),
                };
            }
        }
        let all = all
            .into_iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let limit = limit.min(1_000) as usize;
        let mut page: Vec<(String, Bytes)> =
            all.take(limit + 1).map(|(key, value)| (key, Bytes::from(value))).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        fake.write(|layer| layer.reads.extend(page.iter().map(|(key, _)| key.clone())));
        Ok((page, more))
    });
    let (entries, more) = found.map_err(WitFailure::from)?;
    let next = if more { entries.last().map(|(key, _)| key.clone()) } else { None };
    let entries = entries.into_iter().map(|(key, value)| Entry { key, value: value.into() }).collect();
    Ok(Page { entries, next })
}

fn read(fake: &Fake, key: &str) -> Result<Option<Vec<u8>>, Failure> {
    if let Some(written) = fake.run.borrow().layers.iter().rev().find_map(|layer| layer.writes.get(key)) {
        return Ok(written.clone());
    }
    fake.has_room()?;
    fake.write(|layer| layer.reads.insert(key.to_owned()));
    Ok(fake.world.borrow().state.get(&fake.deployment).and_then(|state| state.get(key)).cloned())
}

fn write(fake: &Fake, key: &str, value: Option<&[u8]>) -> Result<(), Failure> {
    limits::key(key)?;
    limits::value(value.unwrap_or_default())?;
    fake.has_room_for(key.len() + value.map_or(0, <[u8]>::len))?;
    let again = fake.run.borrow().layers.last().is_some_and(|layer| layer.writes.contains_key(key));
    if !again {
        fake.has_room()?;
    }
    fake.write(|layer| layer.put(key.to_owned(), value.map(<[u8]>::to_vec)));
    Ok(())
}
