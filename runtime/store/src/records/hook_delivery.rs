//! Deliveries to hooks. The delivery of events to subscriptions is in `topic`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::delivery::{BodyDigest, DeliveryOutcome};
use tidemill_core::hook::ObjectVersion;
use tidemill_core::run::Run;
use tidemill_core::{DeliveryId, DeploymentName, HookName, RunId, Timestamp};

use super::{NewRun, Operation};

/// A request that a hook received, without its body. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookDelivery {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// The deployment of the hook.
    pub deployment: DeploymentName,
    /// The hook.
    pub hook: HookName,
    /// When the request was complete.
    pub received_at: Timestamp,
    /// The name of the scheme that verified it.
    pub verified_by: String,
    /// The provider's id, or an id that the host made: 1 to 255 bytes without NUL.
    pub key: String,
    /// The provider's id of the transmission. The same id with another body is refused.
    pub transmission: Option<String>,
    /// The kind of event that it states.
    pub event: Option<String>,
    /// The object at the provider that it is about.
    pub object: Option<String>,
    /// The version of that object.
    pub version: Option<ObjectVersion>,
    /// The method of the request.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, without credentials.
    pub query: String,
    /// Its headers (name and value), without credentials.
    pub headers: Vec<(String, String)>,
    /// The size of the body as it came, in bytes.
    pub body_bytes: u64,
    /// The digest of the body as it came.
    pub digest: BodyDigest,
    /// The digest of what is signed, if a sender could cut it into other values under the same
    /// signature. Duplicates are found by it in place of `digest`.
    pub signed_digest: Option<BodyDigest>,
}

impl HookDelivery {
    /// Returns the digest that two deliveries of the same content have in common.
    #[must_use]
    pub const fn content_digest(&self) -> &BodyDigest {
        match &self.signed_digest {
            Some(digest) => digest,
            None => &self.digest,
        }
    }
}

/// What became of a delivery so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryProgress {
    /// The hook, so that a list by hook does not read the delivery.
    pub hook: HookName,
    /// The outcome. In the store, [`DeliveryOutcome::Stored`] means any delivery that waits
    /// for a run or for its end; reads replace it with the state of the run.
    pub outcome: DeliveryOutcome,
    /// The first of its runs.
    pub first_run: Option<RunId>,
    /// The latest of its runs, which decides the outcome.
    pub last_run: Option<RunId>,
    /// The number of its runs.
    pub runs: u32,
    /// How often the provider delivered it again.
    pub duplicates: u64,
    /// When it was last delivered again.
    pub last_duplicate_at: Option<Timestamp>,
    /// When the outcome was settled; `None` while it is open.
    pub settled_at: Option<Timestamp>,
}

/// A delivery with its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The request.
    pub delivery: HookDelivery,
    /// What became of it.
    pub progress: DeliveryProgress,
}

/// What a verified delivery causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryAdmission {
    /// This run, in the same commit, if no earlier delivery waits and the queue has room. Otherwise
    /// the delivery waits in the backlog of its deployment.
    Run(Box<NewRun>),
    /// It waits in the backlog of its deployment.
    Wait,
    /// It makes no run, and this is its outcome.
    NoRun(DeliveryOutcome),
}

/// The body of a delivery, as it is stored. The store does not interpret it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryBody {
    /// The wrapped data key with which `bytes` are sealed, at most 255 bytes; empty if they are not
    /// sealed.
    pub key: Bytes,
    /// The body.
    pub bytes: Bytes,
}

/// A verified delivery to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The request.
    pub delivery: HookDelivery,
    /// The body.
    pub body: DeliveryBody,
    /// What it causes.
    pub admission: DeliveryAdmission,
    /// The signature does not fix the key: the key counts together with the digest of the content,
    /// and the same content is a duplicate under another key, too, for this time in milliseconds.
    /// `None` if the key alone finds duplicates.
    pub body_dedupe_millis: Option<u64>,
}

/// The result of a delivery. All but a refusal without evidence is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryReceipt {
    /// It is stored, and its run is queued.
    Queued(Box<Run>),
    /// It is stored and waits in the backlog.
    Waiting,
    /// It is stored and makes no run.
    NoRun,
    /// It was received before, as this delivery.
    Duplicate(DeliveryId),
    /// Another body came under the id of its transmission before, with this delivery.
    Refused {
        /// The first delivery with that id.
        first: DeliveryId,
        /// Whether this one is kept as evidence.
        kept: bool,
    },
}

/// Selects the deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFilter {
    /// Only deliveries to this deployment.
    pub deployment: Option<DeploymentName>,
    /// Only deliveries to hooks of this name.
    pub hook: Option<HookName>,
    /// Only deliveries with one of these outcomes; empty means any.
    pub outcomes: Vec<DeliveryOutcome>,
    /// Only deliveries with this key.
    pub key: Option<String>,
    /// Only deliveries about this object.
    pub object: Option<String>,
    /// Only deliveries received at or after this time.
    pub since: Option<Timestamp>,
    /// Only deliveries received before this time.
    pub until: Option<Timestamp>,
}

/// A page of replays, which one commit starts together with the progress of its operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReplay {
    /// Each delivery with its new run.
    pub runs: Vec<(DeliveryId, NewRun)>,
    /// The operation with its next cursor; the commit adds what it found and did. `None` for a
    /// single replay.
    pub operation: Option<Operation>,
    /// The time of the replay.
    pub now: Timestamp,
}

/// The result of a page of replays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReplayResult {
    /// The new runs.
    pub runs: Vec<Run>,
    /// Why deliveries have no new run.
    pub skipped: Vec<(DeliveryId, ReplayObstacle)>,
    /// The stored operation.
    pub operation: Option<Operation>,
}

/// Why a delivery cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayObstacle {
    /// It does not exist.
    Missing,
    /// It waits for its run, or the run has not ended.
    Open,
    /// It was refused.
    Refused,
    /// It has the maximum number of runs.
    RunsMax,
}

/// Selects the deliveries to delete, and those to warn about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Deliveries whose outcome was settled before this time are deleted.
    pub settled_before: Timestamp,
    /// Dead deliveries whose outcome was settled before this time are announced once.
    pub dead_before: Timestamp,
}

/// The result of applying a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpiredDeliveries {
    /// The number of deleted deliveries.
    pub deleted: usize,
    /// The number of announced ones.
    pub announced: usize,
    /// Whether there may be more to delete or announce now.
    pub more: bool,
}
