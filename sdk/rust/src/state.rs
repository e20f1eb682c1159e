//! Durable key-value state, private to the deployment and shared by its runs.
//!
//! What a run reads and writes is one transaction: two runs that each read a counter and write it back plus one add two.
//! A key is up to 512 bytes, a value up to 1 MiB. Values are JSON, or bytes with the functions that say so.

use crate::host::state as host;
use crate::{Error, Result, json};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;

/// How many entries a scan asks for at a time.
const PAGE: u32 = 100;

/// Reads a value; `None` where there is none.
///
/// # Errors
/// `bad-state`, not retryable, where the value does not have the shape of `T`; what the host refuses.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    get_bytes(key)?.map(|bytes| decode(key, &bytes)).transpose()
}

/// Reads a value, or the default of its type where there is none.
///
/// # Errors
/// As [`get`].
pub fn get_or_default<T: DeserializeOwned + Default>(key: &str) -> Result<T> {
    Ok(get(key)?.unwrap_or_default())
}

/// Writes a value.
///
/// # Errors
/// `not-json` where the value does not serialise; what the host refuses, such as one over 1 MiB.
pub fn set(key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
    set_bytes(key, json::encode(value)?.as_bytes())
}

/// Reads bytes; `None` where there are none.
///
/// # Errors
/// What the host refuses.
pub fn get_bytes(key: &str) -> Result<Option<Vec<u8>>> {
    host::get(key).map_err(Error::from_failure)
}

/// Writes bytes.
///
/// # Errors
/// What the host refuses, such as more than 1 MiB.
pub fn set_bytes(key: &str, value: &[u8]) -> Result<()> {
    host::set(key, value).map_err(Error::from_failure)
}

/// Removes an entry, if it is there.
///
/// # Errors
/// What the host refuses.
pub fn delete(key: &str) -> Result<()> {
    host::delete(key).map_err(Error::from_failure)
}

/// Writes `value` only where the present value is `expected` (`None`: nothing is there), and says whether it wrote. Unlike reading
/// first and writing later it holds across a request that leaves, or a wait.
///
/// Values are compared as their JSON text, so `T` must write the same text each time: a std `HashMap` inside does not.
///
/// # Errors
/// As [`set`].
pub fn compare_and_set<T: Serialize>(key: &str, expected: Option<&T>, value: &T) -> Result<bool> {
    let expected = expected.map(json::encode).transpose()?;
    compare_and_set_bytes(key, expected.as_deref().map(str::as_bytes), json::encode(value)?.as_bytes())
}

/// As [`compare_and_set`], with bytes.
///
/// # Errors
/// As [`set_bytes`].
pub fn compare_and_set_bytes(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
    host::compare_and_set(key, expected, value).map_err(Error::from_failure)
}

/// All entries whose keys begin with `prefix`, in order of their bytes.
#[must_use]
pub fn scan(prefix: &str) -> Scan {
    Scan { prefix: prefix.to_owned(), page: VecDeque::new(), next: Next::First }
}

/// One entry of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, its prefix included.
    pub key: String,
    /// The value as it was written.
    pub value: Vec<u8>,
}

impl Entry {
    /// The value read as JSON.
    ///
    /// # Errors
    /// `bad-state` where it does not have the shape of `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.key, &self.value)
    }
}

/// Goes through the entries of a prefix, a page at a time. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Scan {
    prefix: String,
    page: VecDeque<Entry>,
    next: Next,
}

#[derive(Clone, Debug)]
enum Next {
    First,
    After(String),
    End,
}

impl Iterator for Scan {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Some(Ok(entry));
            }
            let after = match &self.next {
                Next::First => None,
                Next::After(key) => Some(key.as_str()),
                Next::End => return None,
            };
            match host::scan(&self.prefix, after, PAGE) {
                Ok(page) => {
                    self.next = page.next.map_or(Next::End, Next::After);
                    self.page =
                        page.entries.into_iter().map(|host::Entry { key, value }| Entry { key, value }).collect();
                }
                Err(failure) => {
                    self.next = Next::End;
                    return Some(Err(Error::from_failure(failure)));
                }
            }
        }
    }
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    json::decode_bytes(bytes).map_err(|why| Error::new("bad-state", format!("the state at `{key}`: {why}")))
}
