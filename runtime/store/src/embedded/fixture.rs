//! A request for a run, for the tests of this folder.

use bytes::Bytes;
use tidemill_core::run::{Export, Seed, Trigger};
use tidemill_core::{ComponentDigest, Revision, RunId, Timestamp};

use crate::records::NewRun;

/// A request for a run.
pub(crate) fn new_run() -> NewRun {
    NewRun {
        id: RunId::new(Timestamp::default(), 1),
        deployment: "a".parse().unwrap(),
        revision: Revision::new(1),
        component: ComponentDigest::of(b"component"),
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: Bytes::new(),
        key: None,
        labels: vec![],
        priority: 5,
        now: Timestamp::default(),
        not_before: Timestamp::default(),
        seed: Seed([0; 32]),
        detached: false,
        lanes: vec![],
        terms: crate::records::AdmissionTerms::default(),
    }
}
