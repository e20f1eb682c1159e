//! Hooks: receives deliveries, stores them with their requests for runs, and replays them.
//!
//! A request passes in this order: the hook and its method are known, size, headers, signature over
//! the raw bytes, id, rate, and one commit of the delivery with its run. The commit also finds
//! duplicates. A request that fails before the commit leaves only counters and an entry in memory.

pub(crate) mod delivery_runs;
pub(crate) mod endpoint;
pub(crate) mod guest_input;
pub(crate) mod paypal;
pub(crate) mod provider;
pub(crate) mod receive;
pub(crate) mod refusals;
pub(crate) mod replay;
pub(crate) mod reply;
pub(crate) mod state;
pub(crate) mod stored_body;
pub(crate) mod throttle;
