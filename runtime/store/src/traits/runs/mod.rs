//! Runs: one trait for each of their aspects.

mod admission;
mod failures;
mod requests;
mod signals;
mod transactions;
mod trees;

pub use admission::AdmissionStore;
pub use failures::FailureStore;
pub use requests::RunStore;
pub use signals::SignalStore;
pub use transactions::TransactionStore;
pub use trees::RunTreeStore;
