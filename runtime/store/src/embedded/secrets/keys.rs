//! Master keys, and the pages and commits of their rotation.

use async_trait::async_trait;

use super::sealed;
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{KEY_ROTATION, MASTER_KEYS};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;
use crate::records::{KeyRotation, MasterKeyRecord, RewrappedKey, SealedKey, SealedPlace, SealedTable};
use crate::traits::MasterKeyStore;

/// The key of the only record of KEY_ROTATION.
const LAST: &[u8] = b"last";

#[async_trait]
impl MasterKeyStore for EmbeddedStore {
    async fn master_keys(&self) -> Result<Vec<MasterKeyRecord>> {
        self.latest().records(MASTER_KEYS, &[])
    }

    async fn add_master_key(&self, key: MasterKeyRecord, rotation: Option<KeyRotation>) -> Result<()> {
        let add = move |c: &mut WriteTx<'_, '_>| {
            if let Some(rotation) = rotation {
                c.put_record(KEY_ROTATION, LAST, &rotation)?;
            }
            c.put_record(MASTER_KEYS, &key.id, &key)
        };
        self.commit(add).await
    }

    async fn key_rotation(&self) -> Result<Option<KeyRotation>> {
        self.latest().record(KEY_ROTATION, LAST)
    }

    async fn sealed_count(&self) -> Result<u64> {
        Ok(SealedTable::ALL.iter().map(|table| self.count(sealed::table(*table))).sum())
    }

    async fn sealed_keys(
        &self,
        after: Option<SealedPlace>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<Vec<SealedKey>> {
        let store = self.clone();
        blocking(move || sealed_keys(store.latest(), after.as_ref(), limit, limit_bytes)).await
    }

    async fn rewrap(&self, keys: Vec<RewrappedKey>, rotation: KeyRotation) -> Result<()> {
        self.commit(move |c| rewrap(c, keys, &rotation)).await
    }

    async fn end_rotation(&self, rotation: KeyRotation) -> Result<()> {
        let end = move |c: &mut WriteTx<'_, '_>| {
            for key in c.records::<MasterKeyRecord>(MASTER_KEYS, &[])?.iter().filter(|key| key.id != rotation.to) {
                c.delete(MASTER_KEYS, &key.id);
            }
            c.put_record(KEY_ROTATION, LAST, &rotation)
        };
        self.commit(end).await
    }
}

fn sealed_keys(
    store: &impl ReadTx,
    after: Option<&SealedPlace>,
    limit: usize,
    limit_bytes: usize,
) -> Result<Vec<SealedKey>> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for table in SealedTable::ALL.iter().copied().filter(|table| after.is_none_or(|it| *table >= it.table)) {
        let mut range = prefix_range(&[]);
        if let Some(place) = after.filter(|place| place.table == table) {
            range.start = [place.key.as_slice(), &[0]].concat();
        }
        store.each_while(sealed::table(table), range, |key, record| {
            if found.len() >= limit || bytes >= limit_bytes {
                return Ok(false);
            }
            // A record that is not sealed needs no key.
            if let Some(sealed::RecordKey { name, version, wrapped }) = sealed::read(table, key, record)? {
                let place = SealedPlace { table, key: key.to_vec() };
                bytes += record.len();
                found.push(SealedKey { place, name, version, wrapped });
            }
            Ok(true)
        })?;
    }
    Ok(found)
}

fn rewrap(commit: &mut WriteTx<'_, '_>, keys: Vec<RewrappedKey>, rotation: &KeyRotation) -> Result<()> {
    for RewrappedKey { place: SealedPlace { table, key }, before, after } in keys {
        let Some(record) = commit.bytes(sealed::table(table), &key)? else { continue };
        if sealed::read(table, &key, &record)?.is_some_and(|present| present.wrapped == before) {
            commit.put(sealed::table(table), &key, &sealed::replace(table, &record, after)?);
        }
    }
    commit.put_record(KEY_ROTATION, LAST, rotation)
}
