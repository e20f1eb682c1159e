//! The harness behaves like a host, and it finds the defects that it exists for.

mod bounds;
mod crashes;
mod credit;
mod durable;
mod effects;
mod money;
mod operator;
mod waits;
