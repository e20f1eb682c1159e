//! The body of a delivery, with the wrapped key if it is sealed. The key is in the record and not
//! in the payload file of a long body, so that another master key changes no file.

use bytes::Bytes;
use tidemill_core::{DeliveryId, DeploymentName};

use crate::embedded::tables::DELIVERY_BODIES;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};
use crate::records::DeliveryBody;

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
