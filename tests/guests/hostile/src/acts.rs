//! The acts that need more than one call. Each hides from the optimiser that it has no effect.

use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidemill_sdk::{Error, clock, context, log, random, state};

pub fn spin_for_ever() -> ! {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub fn spin(count: u64) -> u64 {
    let mut turns = 0u64;
    while turns < count {
        turns = black_box(turns + 1);
    }
    turns
}

pub fn spin_ms(ms: u64) -> u64 {
    let until = clock::now() + Duration::from_millis(ms);
    let mut looks = 0u64;
    while clock::now() < until {
        looks += spin(1_000) / 1_000;
    }
    looks
}

pub fn allocate_for_ever() -> ! {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(black_box(vec![1; 1 << 20]));
    }
}

pub fn touch(bytes: usize) -> usize {
    black_box(vec![1u8; bytes]).len()
}

#[expect(unconditional_recursion, reason = "that is its purpose")]
pub fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    recurse(black_box(depth + 1)) + black_box(frame)[3]
}

pub fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// Writes past the end of memory, as a module that is not memory-safe may do.
pub fn out_of_bounds() -> u8 {
    let outside = black_box(0xffff_fff0usize) as *const u8;
    // SAFETY: none. The host must stop it; it does not run outside a sandbox.
    unsafe { outside.read_volatile() }
}

pub fn log(bytes: usize, total_bytes: u64) -> u64 {
    let line = "x".repeat(bytes);
    let mut written = 0u64;
    while written < total_bytes {
        log::write(log::Level::Info, &line, &[]);
        written += bytes.max(1) as u64;
    }
    written
}

pub fn log_fields(lines: u64, fields: usize) -> u64 {
    let fields = vec![("", String::new()); fields];
    (0..lines).for_each(|_| log::write(log::Level::Info, "", &fields));
    lines
}

pub fn print(total_bytes: u64) -> u64 {
    let line = "x".repeat(999);
    let mut written = 0u64;
    while written < total_bytes {
        println!("{line}");
        written += 1_000;
    }
    written
}

pub fn set_zeros(key: &str, bytes: usize) -> Result<Value, Error> {
    state::set_bytes(key, &vec![0; bytes]).map(|()| Value::Null)
}

/// Calls the host directly, because the SDK never requests more than the limit.
pub fn big_random() -> usize {
    tidemill_sdk::bindings::imports::tidemill::guest::random::bytes(1 << 20).len()
}

#[expect(clippy::disallowed_methods, reason = "that a guest's own clocks are the run's is what this shows")]
pub fn now() -> Result<Value, Error> {
    let begun = Instant::now();
    let system = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(json!({
        "system_ms": system.as_millis() as u64,
        "clock_ms": clock::now().as_millis(),
        "elapsed_ns": begun.elapsed().as_nanos() as u64,
    }))
}

#[expect(clippy::disallowed_methods, reason = "the clock that is meant is WASI's")]
pub fn call_wasi(calls: u64) -> Result<usize, Error> {
    use std::io::Read;
    let mut read = 0;
    for _ in 0..calls {
        black_box(Instant::now());
        read += std::io::stdin().read(&mut [0])?;
    }
    Ok(read)
}

pub fn randomness() -> Value {
    use std::hash::{BuildHasher, RandomState};
    json!({ "std": RandomState::new().hash_one(1u8).to_string(), "host": random::u64().to_string() })
}

pub fn environment() -> Value {
    json!({
        "arguments": std::env::args().collect::<Vec<_>>(),
        "variables": std::env::vars().collect::<Vec<_>>(),
        "root": std::fs::read_dir("/").map(|entries| entries.count()).map_err(|error| error.to_string()).ok(),
        "passwd": std::fs::read_to_string("/etc/passwd").is_ok(),
    })
}

pub fn context() -> Value {
    let trigger = context::triggered_by();
    json!({
        "id": context::id(),
        "deployment": context::deployment(),
        "component": context::component(),
        "created_at": context::created_at(),
        "attempt": context::attempt(),
        "generation": context::generation(),
        "trigger": { "kind": trigger.kind, "name": trigger.name, "id": trigger.id, "at": trigger.at, "details": trigger.details },
    })
}
