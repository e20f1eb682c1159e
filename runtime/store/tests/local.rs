//! The embedded store keeps the contract.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tidemill_store::{LocalStore, Store};

fn empty(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    let folder = tempfile::tempdir_in(dir.path()).unwrap().keep();
    let (store, _) = LocalStore::open(LocalStore::config(&folder)).unwrap();
    Arc::new(store)
}

#[test]
fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    tidemill_store::conformance::exercise(&|| empty(&dir));
}

#[test]
fn it_answers_as_the_model_does() {
    let dir = tempfile::tempdir().unwrap();
    tidemill_store::conformance::compare_with_model(48, &|| empty(&dir));
}
