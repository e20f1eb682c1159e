//! Every request that leaves the host for a guest, and nothing else.

mod policy;

pub use policy::EgressPolicy;
