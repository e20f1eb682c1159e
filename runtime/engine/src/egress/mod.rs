//! Every request that leaves the host, for a guest, for a hook or for a channel of alerts
//! ([`provider_client`]), and nothing else.
//!
//! The form of a request is checked ([`outgoing`]), then its origin against the operator's policy
//! and the deployment's grant ([`Authorization::authorize`]), then the targets of its secrets. It
//! is sent, retried by its policy, and redirected with all of these checks at each hop
//! ([`egress_client`]). Secrets that its response repeats are hidden ([`echoes`]). An origin that
//! fails a deployment repeatedly is not called for a while ([`breakers`]). Names are resolved,
//! filtered and connected to in one place ([`client`]).

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
mod mail;
mod outgoing;
mod placeholders;
mod policy;
mod provider_client;
mod request_context;
mod roots;
mod target;
mod tries;
mod usage;

pub use mail::MailRequest;
pub use policy::EgressPolicy;
pub use provider_client::{ProviderClient, ProviderRequest, ProviderResponse};
pub use roots::{BadRoots, Roots};

pub(crate) use authorize::Authorization;
pub(crate) use egress_client::Egress;
pub(crate) use outgoing::{HttpResponse, HttpRetry, OutgoingRequest, RequestDraft};
pub(crate) use request_context::RequestContext;
pub(crate) use usage::{BodyBudget, HttpUsage};
