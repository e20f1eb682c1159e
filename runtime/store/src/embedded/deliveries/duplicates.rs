//! Finds deliveries that were received before, and remembers what later ones are compared with.

use serde::{Deserialize, Serialize};
use tidemill_core::delivery::{BodyDigest, EVIDENCE_MAX};
use tidemill_core::{DeliveryId, Timestamp};

use crate::embedded::deliveries::keys;
use crate::embedded::tables::DELIVERY_KEYS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{HookDelivery, NewDelivery};

/// The last delivery with a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownBody {
    pub(crate) delivery: DeliveryId,
    pub(crate) received_at: Timestamp,
}

/// The first delivery of a transmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownTransmission {
    pub(crate) delivery: DeliveryId,
    pub(crate) digest: BodyDigest,
    /// The number of deliveries with another body that are kept.
    pub(crate) evidence: u32,
}

/// What is known about a delivery from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedent {
    /// Nothing.
    New,
    /// It was received before.
    Duplicate(DeliveryId),
    /// Another body came with the id of its transmission.
    Forged(KnownTransmission),
}

/// Looks for an earlier delivery that a new one repeats or contradicts.
pub(crate) fn find(store: &impl ReadTx, new: &NewDelivery) -> Result<Precedent> {
    let HookDelivery { deployment, hook, digest, received_at, transmission, .. } = &new.delivery;
    let content = new.delivery.content_digest();
    if let Some(transmission) = transmission {
        let row = keys::by_transmission(deployment, hook, transmission);
        if let Some(known) = store.record::<KnownTransmission>(DELIVERY_KEYS, &row)?
            && known.digest != *digest
        {
            return Ok(Precedent::Forged(known));
        }
    }
    if let Some(id) = store.record(DELIVERY_KEYS, &own_key(new))? {
        return Ok(Precedent::Duplicate(id));
    }
    if let Some(millis) = new.body_dedupe_millis
        && let Some(known) = store.record::<KnownBody>(DELIVERY_KEYS, &keys::by_body(deployment, hook, content))?
        && *received_at < known.received_at.plus_millis(millis)
    {
        return Ok(Precedent::Duplicate(known.delivery));
    }
    Ok(Precedent::New)
}

/// Remembers a delivery, so that later ones are found to repeat or contradict it.
pub(crate) fn remember(commit: &mut WriteTx<'_, '_>, new: &NewDelivery) -> Result<()> {
    let HookDelivery { id, deployment, hook, digest, received_at, transmission, .. } = &new.delivery;
    commit.put_record(DELIVERY_KEYS, &own_key(new), id)?;
    if new.body_dedupe_millis.is_some() {
        let known = KnownBody { delivery: *id, received_at: *received_at };
        let row = keys::by_body(deployment, hook, new.delivery.content_digest());
        commit.put_record(DELIVERY_KEYS, &row, &known)?;
    }
    if let Some(transmission) = transmission {
        let row = keys::by_transmission(deployment, hook, transmission);
        if commit.bytes(DELIVERY_KEYS, &row)?.is_none() {
            let known = KnownTransmission { delivery: *id, digest: *digest, evidence: 0 };
            commit.put_record(DELIVERY_KEYS, &row, &known)?;
        }
    }
    Ok(())
}

/// Counts a delivery that contradicts a known transmission. Returns whether there is room to keep
/// it.
pub(crate) fn count_evidence(
    commit: &mut WriteTx<'_, '_>,
    delivery: &HookDelivery,
    known: KnownTransmission,
) -> Result<bool> {
    let Some(transmission) = delivery.transmission.as_ref().filter(|_| known.evidence < EVIDENCE_MAX) else {
        return Ok(false);
    };
    let row = keys::by_transmission(&delivery.deployment, &delivery.hook, transmission);
    commit.put_record(DELIVERY_KEYS, &row, &KnownTransmission { evidence: known.evidence + 1, ..known })?;
    Ok(true)
}

/// Forgets everything that refers to a delivery.
pub(crate) fn forget(commit: &mut WriteTx<'_, '_>, delivery: &HookDelivery) -> Result<()> {
    let HookDelivery { id, deployment, hook, transmission, key, .. } = delivery;
    let content = delivery.content_digest();
    for row in [keys::by_key(deployment, hook, key, None), keys::by_key(deployment, hook, key, Some(content))] {
        if commit.record(DELIVERY_KEYS, &row)? == Some(*id) {
            commit.delete(DELIVERY_KEYS, &row);
        }
    }
    let row = keys::by_body(deployment, hook, content);
    if commit.record::<KnownBody>(DELIVERY_KEYS, &row)?.is_some_and(|known| known.delivery == *id) {
        commit.delete(DELIVERY_KEYS, &row);
    }
    if let Some(transmission) = transmission {
        let row = keys::by_transmission(deployment, hook, transmission);
        if commit.record::<KnownTransmission>(DELIVERY_KEYS, &row)?.is_some_and(|known| known.delivery == *id) {
            commit.delete(DELIVERY_KEYS, &row);
        }
    }
    Ok(())
}

/// Builds the key by which the same delivery is found again.
fn own_key(new: &NewDelivery) -> Vec<u8> {
    let HookDelivery { deployment, hook, key, .. } = &new.delivery;
    let content = new.body_dedupe_millis.map(|_| new.delivery.content_digest());
    keys::by_key(deployment, hook, key, content)
}
