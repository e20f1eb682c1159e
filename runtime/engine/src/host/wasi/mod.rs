//! WASI 0.2, to the extent that a language's runtime needs it.
//!
//! Interfaces that could learn something or wait are implemented here: clocks, poll and random. The
//! rest is wasmtime-wasi with an empty context: no environment, arguments, folders or sockets.
//! Standard output and standard error become log lines, and `exit` ends the run.

mod clocks;
mod output;
mod paid;
mod poll;
mod random;

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::guest::GuestState;
use crate::guest::run_log::Stream;
use output::StandardStream;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    clocks::link(linker)?;
    poll::link(linker)?;
    random::link(linker)?;
    paid::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // wasmtime-wasi calls this once in each of its functions and nowhere else.
        self.fuel.owed.call();
        let (log, owed) = (&self.log, &self.fuel.owed);
        let ctx = self.wasi.get_or_insert_with(|| {
            Box::new(context(|stream| StandardStream::new(Arc::clone(log), owed.clone(), stream)))
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

fn context(output: impl Fn(Stream) -> StandardStream) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(output(Stream::Stdout))
        .stderr(output(Stream::Stderr))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(0);
    builder.build()
}
