//! What holds on a host holds in the harness; and what the harness is for, it finds.

mod bounds;
mod crashes;
mod durable;
mod effects;
mod waits;
