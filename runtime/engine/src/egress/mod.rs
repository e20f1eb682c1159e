//! Every request that leaves the host for a guest, and nothing else.
//!
//! The way of one request: its form is checked ([`outgoing`]), its origin against the operator's policy and the deployment's
//! grant ([`Authorization::check`]), its secrets against where they may go; then it is sent, tried again as its policy says, and redirected by
//! hand, with all of these checks at each hop ([`send`]). What its answer repeats of a secret is hidden ([`echoes`]). An origin that
//! fails a deployment again and again is left alone for a while ([`breakers`]). Names are resolved, filtered and connected to in one place ([`resolve`]).

mod address;
mod answer;
mod authorize;
mod breakers;
mod client;
mod decode;
mod echoes;
mod egress_client;
mod hop;
mod limits;
mod origin;
mod outgoing;
mod placeholders;
mod policy;
mod resolve;
mod roots;
mod target;
mod tries;
mod usage;

pub use origin::{BadOrigin, OriginPattern, Scheme};
pub use policy::EgressPolicy;
pub use roots::{BadRoots, Roots};

pub(crate) use authorize::Authorization;
pub(crate) use egress_client::{Egress, RequestContext};
pub(crate) use outgoing::{HttpResponse, HttpRetry, OutgoingRequest, RequestDraft};
pub(crate) use usage::{BodyBudget, HttpUsage};
