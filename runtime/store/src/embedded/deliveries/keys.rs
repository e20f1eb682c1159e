//! The keys of the tables of deliveries.

use tidemill_core::delivery::BodyDigest;
use tidemill_core::{DeliveryId, DeploymentName, HookName, RunId, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::tables::{name_key, time_key};

/// First byte of a row of a provider's id.
const BY_KEY: u8 = 0;
/// First byte of a row of a body's digest.
const BY_BODY: u8 = 1;
/// First byte of a row of the id of a transmission.
const BY_TRANSMISSION: u8 = 2;

/// Builds the key of a delivery under its deployment.
pub(crate) fn of_deployment(deployment: &DeploymentName, id: DeliveryId) -> Vec<u8> {
    name_key(deployment.as_str(), &id.to_bytes())
}

/// Builds the key of a provider's id, with the body's digest if the id alone does not identify a
/// delivery.
pub(crate) fn by_key(deployment: &DeploymentName, hook: &HookName, key: &str, digest: Option<&BodyDigest>) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 34);
    row.push(BY_KEY);
    row.extend_from_slice(key.as_bytes());
    row.push(0);
    row.extend(digest.iter().flat_map(|digest| digest.as_bytes()));
    of_hook(deployment, hook, &row)
}

/// Builds the key of the last delivery with that body.
pub(crate) fn by_body(deployment: &DeploymentName, hook: &HookName, digest: &BodyDigest) -> Vec<u8> {
    of_hook(deployment, hook, &[&[BY_BODY], digest.as_bytes().as_slice()].concat())
}

/// Builds the key of the id of a transmission.
pub(crate) fn by_transmission(deployment: &DeploymentName, hook: &HookName, transmission: &str) -> Vec<u8> {
    of_hook(deployment, hook, &[&[BY_TRANSMISSION], transmission.as_bytes()].concat())
}

fn of_hook(deployment: &DeploymentName, hook: &HookName, row: &[u8]) -> Vec<u8> {
    name_key(deployment.as_str(), &name_key(hook.as_str(), row))
}

/// Builds the key of a waiting delivery, which sorts in order of arrival.
pub(crate) fn waiting(deployment: &DeploymentName, (commit, within): (u64, u32)) -> Vec<u8> {
    name_key(deployment.as_str(), &[commit.to_be_bytes().as_slice(), &within.to_be_bytes()].concat())
}

/// Builds the key of a delivery under a time.
pub(crate) fn at_time(time: Timestamp, id: DeliveryId) -> Vec<u8> {
    time_key(time, &id.to_bytes())
}

/// Builds the key of a replay of a delivery.
pub(crate) fn replay(id: DeliveryId, run: RunId) -> Vec<u8> {
    [id.to_bytes(), run.to_bytes()].concat()
}

/// Builds the prefix of the deliveries about one object.
pub(crate) fn object_prefix(deployment: &DeploymentName, object: &str) -> Vec<u8> {
    name_key(deployment.as_str(), &xxh3_128(object.as_bytes()).to_be_bytes())
}

/// Builds the key of a delivery about an object.
pub(crate) fn by_object(deployment: &DeploymentName, object: &str, id: DeliveryId) -> Vec<u8> {
    [object_prefix(deployment, object).as_slice(), &id.to_bytes()].concat()
}

/// Reads the delivery at the end of a key.
pub(crate) fn delivery_at_end(key: &[u8]) -> Option<DeliveryId> {
    key.last_chunk::<16>().map(|bytes| DeliveryId::from_bytes(*bytes))
}
