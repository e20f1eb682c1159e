//! The embedded store satisfies the store contract.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tidemill_store::{EmbeddedStore, Store};
use tidemill_store_conformance::{compare_with_model, exercise};

fn empty(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    let folder = tempfile::tempdir_in(dir.path()).unwrap().keep();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&folder)).unwrap();
    Arc::new(store)
}

#[test]
fn the_embedded_store_satisfies_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    exercise(&|| empty(&dir));
}

#[test]
fn the_embedded_store_answers_like_the_model() {
    let dir = tempfile::tempdir().unwrap();
    compare_with_model(48, &|| empty(&dir));
}
