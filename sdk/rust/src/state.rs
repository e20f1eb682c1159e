//! Durable key-value state of the deployment, shared by its runs.
//!
//! The reads and writes of a run between two commits are one transaction: if two runs each read a
//! counter and write it back plus one, the result is plus two. A key has up to 512 bytes, a value
//! up to 1 MiB. Values are JSON, or bytes in the functions that have `bytes` in their names.

use crate::host::state as host;
use crate::{Error, Result, json};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;

/// Number of entries per page of a scan.
const PAGE: u32 = 100;

/// Reads a value. Returns `None` if there is none.
///
/// # Errors
/// `bad-state`, not retryable, if the value does not match `T`; refusals of the host.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    get_bytes(key)?.map(|bytes| decode(key, &bytes)).transpose()
}

/// Reads a value, or returns the default of its type if there is none.
///
/// # Errors
/// As [`get`].
pub fn get_or_default<T: DeserializeOwned + Default>(key: &str) -> Result<T> {
    Ok(get(key)?.unwrap_or_default())
}

/// Writes a value.
///
/// # Errors
/// `not-json` if the value does not serialize; refusals of the host, such as a value over 1 MiB.
pub fn set(key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
    set_bytes(key, json::encode(value)?.as_bytes())
}

/// Reads bytes. Returns `None` if there are none.
///
/// # Errors
/// Refusals of the host.
pub fn get_bytes(key: &str) -> Result<Option<Vec<u8>>> {
    host::get(key).map_err(Error::from_failure)
}

/// Writes bytes.
///
/// # Errors
/// Refusals of the host, such as more than 1 MiB.
pub fn set_bytes(key: &str, value: &[u8]) -> Result<()> {
    host::set(key, value).map_err(Error::from_failure)
}

/// Deletes an entry if it exists.
///
/// # Errors
/// Refusals of the host.
pub fn delete(key: &str) -> Result<()> {
    host::delete(key).map_err(Error::from_failure)
}

/// Writes `value` if the current value is `expected` (`None`: there is none), and returns whether
/// it wrote. Unlike a read followed by a write, this holds across a request or a wait.
///
/// Values are compared as JSON text, so `T` must always serialize to the same text. A std `HashMap`
/// inside it does not.
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

/// Scans all entries whose keys begin with `prefix`, ordered by bytes.
#[must_use]
pub fn scan(prefix: &str) -> Scan {
    Scan { prefix: prefix.to_owned(), page: VecDeque::new(), next: Next::First }
}

/// One entry of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, including the prefix.
    pub key: String,
    /// The bytes of the value.
    pub value: Vec<u8>,
}

impl Entry {
    /// Reads the value as JSON.
    ///
    /// # Errors
    /// `bad-state` if it does not match `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.key, &self.value)
    }
}

/// Iterates over the entries of a prefix, page by page. It ends after the first error.
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
