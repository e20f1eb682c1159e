//! Every request that leaves the host for a guest, and nothing else.
//!
//! The way of one request: its form is checked ([`outgoing`]), its origin against the operator's policy and the deployment's
//! grant ([`Reach::check`]), its secrets against where they may go; then it is sent, tried again as its policy says, and redirected by
//! hand, with all of these checks at each hop ([`send`]). What its answer repeats of a secret is hidden ([`echoes`]). An origin that
//! fails a deployment again and again is left alone for a while ([`breakers`]). Names are resolved, filtered and connected to in one place ([`resolve`]).

mod address;
mod answer;
mod breakers;
mod client;
mod decode;
mod echoes;
mod gates;
mod hop;
mod origin;
mod outgoing;
mod placeholders;
mod policy;
mod reach;
mod resolve;
mod roots;
mod send;
mod target;
mod tries;
mod usage;

pub use origin::{BadOrigin, OriginPattern, Scheme};
pub use policy::EgressPolicy;
pub use roots::{BadRoots, Roots};

pub(crate) use outgoing::{Answered, Draft, Outgoing, Retry};
pub(crate) use reach::Reach;
pub(crate) use send::{Egress, Leave};
pub(crate) use usage::{Budget, Usage};
