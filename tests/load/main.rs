//! Load on the whole system, in a release build: measures the performance goals of the project.
//!
//! `cargo bench -p tidemill --bench load` prints the table; `-- runs`, for example, measures one
//! part. This is not a test: it asserts that nothing failed, and the reader judges the times. The
//! load generator is `oha`. Latency under a given load is measured with a fixed arrival rate (open
//! model).
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement for people"
)]

mod asleep;
mod disk;
mod due;
mod events;
mod flight;
mod histogram;
mod hooks;
#[path = "../system/host.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod host;
mod hot;
mod machine;
mod neighbours;
mod oha;
mod postings;
mod queued;
mod readers;
mod runs;
mod schedules;
mod table;

use table::Table;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let mut table = Table::default();
    machine::measure(&mut table);
    if wants("runs") {
        runs::measure(&mut table).await;
    }
    if wants("hot") {
        hot::measure(&mut table).await;
    }
    if wants("neighbours") {
        neighbours::measure(&mut table).await;
    }
    if wants("schedules") {
        schedules::measure(&mut table).await;
    }
    if wants("due") {
        due::measure(&mut table).await;
    }
    if wants("rest") {
        due::at_rest(&mut table).await;
    }
    if wants("events") {
        events::measure(&mut table).await;
    }
    if wants("hooks") {
        hooks::measure(&mut table).await;
    }
    if wants("postings") {
        postings::measure(&mut table).await;
    }
    if wants("readers") {
        readers::measure(&mut table).await;
    }
    if wants("flight") {
        flight::measure(&mut table).await;
    }
    if wants("asleep") {
        asleep::measure(&mut table).await;
    }
    if wants("flood") {
        queued::flood(&mut table).await;
    }
    if wants("queue") {
        queued::queue(&mut table).await;
    }
    println!("{table}");
}
