//! `tidemill:guest/state`: the deployment's durable values. A read comes from the store, overlaid
//! with the run's own writes, and is checked again when the run commits. A write waits for that
//! commit. A key holds 1 to 512 bytes, a value 1 MiB, a page 1,000 entries or 1 MiB.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::journal::{Hash, Kind};
use tidemill_core::limits::{STATE_KEY_BYTES, STATE_VALUE_BYTES};
use tidemill_core::{Code, Failure};
use tidemill_store::records::{ScanRequest, Version, VersionedValue};

use super::abi::{Contract, HostFuture, HostResult, Interface, answer};
use crate::activation::channel::StateSource;
use crate::component::bindings::wit::state::{Entry, Page};
use crate::guest::{GuestState, read};
use crate::replay::state::hash;
use crate::transaction::StatePage;

/// Maximum number of entries in a page.
const PAGE_ENTRIES: u32 = 1_000;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut state = Interface::new(contract, "state")?;
    state.wait("get", |guest, (key,): (String,)| Box::pin(get(guest, key)))?;
    state.call("set", |guest, (key, value): (String, Vec<u8>)| set(guest, key, value))?;
    state.call("delete", |guest, (key,): (String,)| delete(guest, key))?;
    state.wait("compare-and-set", compare_and_set)?;
    state.wait("scan", scan)
}

async fn get(guest: &mut GuestState, key: String) -> wasmtime::Result<HostResult<Option<Vec<u8>>>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| check_key(&key)) {
        return answer(Err(failure));
    }
    let request = hash(&[key.as_bytes()]);
    let recalled = guest.replay::<Result<Option<Bytes>, Failure>>(Kind::StateGet, request)?;
    let value = match recalled {
        Some(value) => value,
        None => {
            let value = present(guest, &key).await?;
            guest.record(Kind::StateGet, request, &value, Some(key.as_bytes()))?;
            value
        }
    };
    answer(value.map(|value| value.map(Vec::from)))
}

fn set(guest: &mut GuestState, key: String, value: Vec<u8>) -> wasmtime::Result<HostResult<()>> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("state.set"))
        .and_then(|()| check_key(&key))
        .and_then(|()| check_value(&value));
    if let Err(failure) = allowed {
        return answer(Err(failure));
    }
    let request = hash(&[key.as_bytes(), &value]);
    write(guest, Kind::StateSet, request, key, Some(value.into()))
}

fn delete(guest: &mut GuestState, key: String) -> wasmtime::Result<HostResult<()>> {
    let allowed =
        guest.check_cancelled().and_then(|()| guest.not_in_health_check("state.delete")).and_then(|()| check_key(&key));
    if let Err(failure) = allowed {
        return answer(Err(failure));
    }
    let request = hash(&[key.as_bytes()]);
    write(guest, Kind::StateDelete, request, key, None)
}

fn write(
    guest: &mut GuestState,
    kind: Kind,
    request: Hash,
    key: String,
    value: Option<Bytes>,
) -> wasmtime::Result<HostResult<()>> {
    if let Some(written) = guest.replay::<Result<(), Failure>>(kind, request)? {
        return answer(written);
    }
    let shown = key.clone();
    let written = guest.transaction.write(key, value).map_err(Failure::from);
    guest.record(kind, request, &written, Some(shown.as_bytes()))?;
    answer(written)
}

fn compare_and_set(
    guest: &mut GuestState,
    (key, expected, value): (String, Option<Vec<u8>>, Vec<u8>),
) -> HostFuture<'_, HostResult<bool>> {
    Box::pin(async move {
        let allowed = guest
            .check_cancelled()
            .and_then(|()| guest.not_in_health_check("state.compare-and-set"))
            .and_then(|()| check_key(&key))
            .and_then(|()| check_value(&value));
        if let Err(failure) = allowed {
            return answer(Err(failure));
        }
        let request =
            hash(&[key.as_bytes(), expected.as_deref().unwrap_or(b"none"), &value, &[expected.is_some().into()]]);
        if let Some(swapped) = guest.replay::<Result<bool, Failure>>(Kind::StateCas, request)? {
            return answer(swapped);
        }
        let shown = key.clone();
        let swapped = match present(guest, &key).await? {
            Err(failure) => Err(failure),
            Ok(present) if present.as_deref() != expected.as_deref() => Ok(false),
            Ok(_) => guest.transaction.write(key, Some(value.into())).map(|()| true).map_err(Failure::from),
        };
        guest.transaction.note_claim();
        guest.record(Kind::StateCas, request, &swapped, Some(shown.as_bytes()))?;
        answer(swapped)
    })
}

fn scan(
    guest: &mut GuestState,
    (prefix, after, limit): (String, Option<String>, u32),
) -> HostFuture<'_, HostResult<Page>> {
    Box::pin(async move {
        let allowed = guest.check_cancelled().and_then(|()| {
            if prefix.len() > STATE_KEY_BYTES || after.as_ref().is_some_and(|after| after.len() > STATE_KEY_BYTES) {
                return Err(Code::LimitStateKey.failure(format!("a key has at most {STATE_KEY_BYTES} bytes")));
            }
            if limit == 0 {
                return Err(Code::BadArgument.failure("`limit` is 0: a page has at least one entry"));
            }
            Ok(())
        });
        if let Err(failure) = allowed {
            return answer(Err(failure));
        }
        let asked = hash(&[
            prefix.as_bytes(),
            after.as_deref().unwrap_or_default().as_bytes(),
            &limit.to_le_bytes(),
            &[after.is_some().into()],
        ]);
        if let Some(page) = guest.replay::<Result<StatePage, Failure>>(Kind::StateScan, asked)? {
            return answer(page.map(into_page));
        }
        let shown = prefix.clone();
        if let Err(limit) = guest.transaction.has_room() {
            let refused: Result<StatePage, Failure> = Err(limit.into());
            guest.record(Kind::StateScan, asked, &refused, Some(shown.as_bytes()))?;
            return answer(refused.map(into_page));
        }
        let request = ScanRequest { prefix, after, limit: limit.min(PAGE_ENTRIES) as usize };
        let store = Arc::clone(&guest.services.store);
        let run = Arc::clone(&guest.run);
        let page = read(|| store.scan_state(&run.deployment, &request)).await?;
        let listed = Ok(guest.transaction.overlay(request, page));
        guest.record(Kind::StateScan, asked, &listed, Some(shown.as_bytes()))?;
        answer(listed.map(into_page))
    })
}

fn into_page(page: StatePage) -> Page {
    let entries = page.entries.into_iter().map(|(key, value)| Entry { key, value: value.into() }).collect();
    Page { entries, next: page.next }
}

/// Returns the value of a key as the run sees it.
async fn present(guest: &mut GuestState, key: &str) -> wasmtime::Result<Result<Option<Bytes>, Failure>> {
    if let Some(own) = guest.transaction.own(key) {
        return Ok(Ok(own));
    }
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let store = Arc::clone(&guest.services.store);
    let run = Arc::clone(&guest.run);
    // A value that is not durable yet is read only if this run's commit checks it.
    let seen = match guest.channel.before_read(key).await {
        StateSource::Durable => read(|| store.state(&run.deployment, key)).await?,
        StateSource::Newest => read(|| store.newest_state(&run.deployment, key)).await?,
        StateSource::Forwarded(value) => VersionedValue { version: Version::of_content(value.as_deref()), value },
    };
    if let Err(changed) = guest.transaction.note_read(key, &seen) {
        return Err(guest.void(changed).into());
    }
    Ok(Ok(seen.value))
}

fn check_key(key: &str) -> Result<(), Failure> {
    if (1..=STATE_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    Err(Code::LimitStateKey
        .failure(format!("a key has 1 to {STATE_KEY_BYTES} bytes of UTF-8; this one has {}", key.len())))
}

fn check_value(value: &[u8]) -> Result<(), Failure> {
    if value.len() <= STATE_VALUE_BYTES {
        return Ok(());
    }
    Err(Code::LimitStateValue
        .failure(format!("a value has at most {STATE_VALUE_BYTES} bytes; this one has {}", value.len())))
}
