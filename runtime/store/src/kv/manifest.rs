//! The store's manifest: what makes a folder a store. It is written last when a store is created,
//! so a folder with other files but no manifest is damaged, not new. It is text with a checksum.

use std::collections::BTreeMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::config::Table;
use super::error::KvError;
use crate::disk::{self, Disk};
use crate::kv::log::segment::FORMAT;

/// The file's name in the data folder.
pub(super) const NAME: &str = "store";
const FIRST_LINE: &str = "tidemill store";

/// The content of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Seed of every checksum, so that data of another store, or data that a guest wrote, never
    /// passes for this store's.
    pub seed: u64,
    /// The checksum of sled's configuration file. sled itself only warns if the file changes.
    pub index: u64,
    /// The tables, by id.
    pub tables: BTreeMap<u8, String>,
}

impl Manifest {
    /// Reads and checks the manifest.
    ///
    /// # Errors
    /// [`KvError::Damaged`] if the file has changed or has a newer format.
    pub fn read(disk: &dyn Disk, data: &Path) -> Result<Self, KvError> {
        let content = disk::read_file(disk, &data.join(NAME), 64 << 10)
            .map_err(|error| KvError::unreadable(format!("the manifest, {NAME}, cannot be read"), &error))?;
        Self::parse(&content).map_err(|what| KvError::damaged(format!("the manifest, {NAME}, {what}")))
    }

    /// Writes the manifest and replaces any old one.
    pub fn write(&self, disk: &dyn Disk, data: &Path) -> Result<(), KvError> {
        disk::replace_file(disk, data, NAME, self.text().as_bytes())
            .map_err(|error| KvError::io(format!("the manifest, {NAME}, cannot be written"), &error))
    }

    /// Checks that no table is missing from `tables`, and adds the new ones. Returns whether the
    /// manifest changed.
    pub fn reconcile(&mut self, tables: &[Table]) -> Result<bool, KvError> {
        if let Some((id, name)) =
            self.tables.iter().find(|(id, name)| !tables.iter().any(|t| t.id == **id && t.name == **name))
        {
            return Err(KvError::damaged(format!(
                "it has a table {id} \"{name}\" that this version of the program does not know"
            )));
        }
        let before = self.tables.len();
        self.tables.extend(tables.iter().map(|table| (table.id, table.name.to_owned())));
        Ok(self.tables.len() != before)
    }

    fn text(&self) -> String {
        let tables = self.tables.iter().map(|(id, name)| format!("table {id} {name}\n")).collect::<String>();
        let body =
            format!("{FIRST_LINE}\nformat {FORMAT}\nseed {:016x}\nindex {:016x}\n{tables}", self.seed, self.index);
        format!("{body}check {:016x}\n", xxh3_64(body.as_bytes()))
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        let changed = || "is not what was written".to_owned();
        let text = std::str::from_utf8(content).map_err(|_| changed())?;
        let (body, check) = text.split_at(text.rfind("check ").ok_or_else(changed)?);
        if check != format!("check {:016x}\n", xxh3_64(body.as_bytes())) {
            return Err(changed());
        }
        let mut lines = body.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(changed());
        }
        let format: u32 = lines.next().and_then(|l| l.strip_prefix("format ")?.parse().ok()).ok_or_else(changed)?;
        if format != FORMAT {
            return Err(format!("is of format {format}; this version of the program reads format {FORMAT}"));
        }
        let mut number = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?;
            u64::from_str_radix(line, 16).ok()
        };
        let seed = number("seed ").ok_or_else(changed)?;
        let index = number("index ").ok_or_else(changed)?;
        let tables = lines
            .map(|line| {
                let (id, name) = line.strip_prefix("table ")?.split_once(' ')?;
                Some((id.parse().ok()?, name.to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or_else(changed)?;
        Ok(Self { seed, index, tables })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Manifest {
        Manifest { seed: 0xfeed, index: 7, tables: [(1, "runs".to_owned()), (9, "events".to_owned())].into() }
    }

    #[test]
    fn a_manifest_round_trips_and_any_change_is_detected() {
        let text = sample().text();
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(sample()));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(Manifest::parse(&changed).is_err(), "byte {at}");
            assert!(Manifest::parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_named_in_the_error() {
        let body = sample().text().replace("format 1", "format 2");
        let body = &body[..body.rfind("check").unwrap()];
        let text = format!("{body}check {:016x}\n", xxh3_64(body.as_bytes()));
        assert!(Manifest::parse(text.as_bytes()).unwrap_err().contains("format 2"));
    }

    #[test]
    fn a_table_may_be_added_but_not_removed() {
        let (runs, events, more) = (Table::new(1, "runs"), Table::new(9, "events"), Table::new(2, "more"));
        assert!(!sample().reconcile(&[events, runs]).unwrap());
        assert!(sample().reconcile(&[runs, events, more]).unwrap());
        assert!(sample().reconcile(&[runs, more]).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes);
        }
    }
}
