//! The body of a delivery, with the wrapped key if it is sealed. The key is in the record and not
//! in the payload file of a long body, so that another master key changes no file.

use bytes::Bytes;
use tidemill_core::{DeliveryId, DeploymentName};

use crate::embedded::tables::DELIVERY_BODIES;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};
use crate::records::{DeliveryBody, RewrappedBody};

pub(crate) fn put(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    id: DeliveryId,
    body: &DeliveryBody,
) -> Result<()> {
    let own = own(&body.key)?;
    commit.put_value(Some(deployment), DELIVERY_BODIES, &id.to_bytes(), &own, &body.bytes)
}

/// Returns the wrapped key and the bytes.
pub(crate) fn get(store: &impl ReadTx, id: DeliveryId) -> Result<Option<(Bytes, ValueRef)>> {
    let Some(stored) = store.bytes(DELIVERY_BODIES, &id.to_bytes())? else { return Ok(None) };
    let key = key_of(&stored)?;
    let (bytes, _) = value::read(DELIVERY_BODIES, &stored, 1 + key.len())?;
    Ok(Some((Bytes::copy_from_slice(key), bytes)))
}

/// Returns the wrapped keys of the first sealed bodies after one delivery.
pub(crate) fn sealed(store: &impl ReadTx, after: Option<DeliveryId>, limit: usize) -> Result<Vec<(DeliveryId, Bytes)>> {
    let mut found = Vec::new();
    let mut range = prefix_range(&[]);
    if let Some(after) = after {
        range.start = [after.to_bytes().as_slice(), &[0]].concat();
    }
    store.each_while(DELIVERY_BODIES, range, |row, stored| {
        let key = key_of(stored)?;
        if let (false, Some(id)) = (key.is_empty(), row.first_chunk::<16>()) {
            found.push((DeliveryId::from_bytes(*id), Bytes::copy_from_slice(key)));
        }
        Ok(found.len() < limit)
    })?;
    found.truncate(limit);
    Ok(found)
}

/// Replaces the wrapped key of a body, unless it has changed. The bytes stay where they are.
pub(crate) fn rewrap(commit: &mut WriteTx<'_, '_>, rewrapped: &RewrappedBody) -> Result<()> {
    let row = rewrapped.id.to_bytes();
    let Some(stored) = commit.bytes(DELIVERY_BODIES, &row)? else { return Ok(()) };
    let key = key_of(&stored)?;
    // The lengths are equal, so the usage of the deployment does not change.
    if key != rewrapped.from || rewrapped.to.len() != key.len() {
        return Ok(());
    }
    commit.put(DELIVERY_BODIES, &row, &with_key(&stored, &rewrapped.to)?);
    Ok(())
}

/// Returns a stored body with another wrapped key of the same length.
pub(crate) fn with_key(stored: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let own = own(key)?;
    let mut changed = stored.to_vec();
    let end = if value::blob_of(stored).is_some() { changed.len() } else { 1 + own.len() };
    let place = changed.get_mut(end - own.len()..end).ok_or_else(damaged)?;
    place.copy_from_slice(&own);
    Ok(changed)
}

/// Encodes a wrapped key: its length, then the key.
fn own(key: &[u8]) -> Result<Vec<u8>> {
    let length = u8::try_from(key.len())
        .map_err(|_| StoreError::TooLarge(format!("a wrapped key has {} bytes; the maximum is 255", key.len())))?;
    Ok([&[length], key].concat())
}

/// Returns the wrapped key of a stored body; empty if the body is not sealed.
pub(crate) fn key_of(stored: &[u8]) -> Result<&[u8]> {
    let (length, rest) = value::own(stored).and_then(<[u8]>::split_first).ok_or_else(damaged)?;
    rest.get(..usize::from(*length)).ok_or_else(damaged)
}

fn damaged() -> StoreError {
    StoreError::Damaged { what: "a record of table delivery-bodies cannot be read".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_never_panics(stored in any::<Vec<u8>>()) {
            let _ = key_of(&stored);
        }
    }
}
