//! The only file that configures wasmtime. Settings that are not listed keep wasmtime's default;
//! each value has its reason. The host and the compiler's child build the same configuration, so
//! that the host accepts the child's code.

use std::hash::{Hash as _, Hasher as _};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

/// Maximum stack of a guest in bytes, wasmtime's default.
const WASM_STACK: usize = 512 * 1024;
/// Size of the whole stack of a call, in bytes: 1.5 MiB are left to host functions, which abort the
/// process if they overflow it.
const CALL_STACK: usize = 2 * 1024 * 1024;
/// Memory of a slot that is reset in place and stays resident, in bytes. It pays only if the kernel
/// reports touched pages: create, call and drop of a Rust guest take 13.5 µs with both, 22 µs
/// without either, and 32 µs without the report.
const KEEP_RESIDENT: usize = 1024 * 1024;
/// Maximum number of slots that stay warm for a component while none of it runs: more make an idle
/// host large, fewer make calls slow.
const WARM_SLOTS: u32 = 16;
/// Maximum number of memories of one component, over all its core modules.
pub(crate) const COMPONENT_MEMORIES: u32 = 8;
/// Maximum number of tables of one component.
pub(crate) const COMPONENT_TABLES: u32 = 32;
/// Maximum number of core instances of one component; a Rust component has three or four.
const COMPONENT_INSTANCES: u32 = 64;
/// Number of tables in one slot of the pool; a component with more takes several slots.
pub(crate) const SLOT_TABLES: u32 = 4;
/// Maximum number of elements of one table; a large language runtime has some ten thousand
/// functions in its own.
const TABLE_ELEMENTS: usize = 40_000;
/// Maximum size of a core instance's own structures in the host, in bytes.
const INSTANCE_BYTES: usize = 4 * 1024 * 1024;

/// Maximum number of frames collected at a trap; a failure shows as many.
const FRAMES: usize = 20;

/// Whether an engine runs guests or only compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compiles; reserves no address space.
    Compile,
    /// Runs guests.
    Run {
        /// Number of instances in the pool.
        slots: u32,
        /// Maximum size of a memory, in bytes.
        memory_max: u64,
    },
}

/// An engine, and whether its instances come from a pool.
pub(crate) struct Sandbox {
    pub engine: Engine,
    pub pooled: bool,
}

/// Builds an engine. If the machine has too little address space for the pool, instances are
/// allocated on demand, with a warning.
///
/// # Errors
/// If wasmtime refuses the configuration on this machine.
pub(crate) fn build(purpose: Purpose) -> wasmtime::Result<Sandbox> {
    if let Purpose::Run { slots, memory_max } = purpose {
        let mut config = base();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots, memory_max)));
        match Engine::new(&config) {
            Ok(engine) => return Ok(Sandbox { engine, pooled: true }),
            Err(error) => tracing::warn!(
                %error, slots,
                "no instance pool: instances are allocated on demand, which is slower; lower the concurrency or raise the address-space limit"
            ),
        }
    }
    Ok(Sandbox { engine: Engine::new(&base())?, pooled: false })
}

/// Returns a hash that changes with everything that makes compiled code unusable for another
/// engine.
pub(crate) fn compatibility(engine: &Engine) -> String {
    #[expect(deprecated, reason = "the one hasher of std whose result is the same in every process of one build")]
    let mut hasher = std::hash::SipHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn base() -> Config {
    let mut config = Config::new();
    // Fuel is the deterministic budget; the epoch provides fairness and is not deterministic.
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(CALL_STACK);
    // Results must be the same on every machine.
    config.cranelift_nan_canonicalization(true);
    // Features with which a guest could observe the host, block, or evade the total memory limit.
    for off in [
        WasmFeatures::THREADS,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::GC,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::RELAXED_SIMD,
        WasmFeatures::STACK_SWITCHING,
    ] {
        config.wasm_features(off, false);
    }
    config.shared_memory(false);
    config.concurrency_support(false);
    // Traps name functions. Debug information comes from the guest, so it is never parsed in the
    // host (`compile::lines`).
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES));
    config.wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    config.memory_init_cow(true);
    config
}

fn pool(slots: u32, memory_max: u64) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A slot is an instance with one memory and four tables; larger components take several
    // (`Module::slots`).
    pool.total_component_instances(slots);
    pool.total_stacks(slots);
    pool.total_memories(slots);
    pool.total_tables(slots.saturating_mul(SLOT_TABLES));
    pool.total_core_instances(slots.saturating_mul(COMPONENT_INSTANCES));
    pool.max_core_instances_per_component(COMPONENT_INSTANCES);
    pool.max_memories_per_component(COMPONENT_MEMORIES);
    pool.max_tables_per_component(COMPONENT_TABLES);
    pool.max_memories_per_module(COMPONENT_MEMORIES);
    pool.max_tables_per_module(COMPONENT_TABLES);
    pool.max_component_instance_size(INSTANCE_BYTES);
    pool.max_core_instance_size(INSTANCE_BYTES);
    pool.table_elements(TABLE_ELEMENTS);
    pool.max_memory_size(usize::try_from(memory_max.min(1 << 32)).unwrap_or(usize::MAX));
    pool.max_unused_warm_slots(WARM_SLOTS);
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    pool.pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pool.linear_memory_keep_resident(if scan { KEEP_RESIDENT } else { 0 });
    pool.table_keep_resident(if scan { 64 * 1024 } else { 0 });
    pool
}
