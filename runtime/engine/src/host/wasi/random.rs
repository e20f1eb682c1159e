//! `wasi:random`: all three interfaces draw from the run's own generator; `insecure-seed` is a
//! constant of the run.

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::guest::GuestState;
use crate::host::random::bytes;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    random::add_to_linker::<GuestState, HasRandom>(linker, |guest| RandomView::new(guest))?;
    insecure::add_to_linker::<GuestState, HasRandom>(linker, |guest| RandomView::new(guest))?;
    insecure_seed::add_to_linker::<GuestState, HasRandom>(linker, |guest| RandomView::new(guest))
}

struct HasRandom;

struct RandomView<'a>(&'a mut GuestState);

impl<'a> RandomView<'a> {
    fn new(guest: &'a mut GuestState) -> Self {
        guest.fuel.owed.call();
        Self(guest)
    }

    fn bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let drawn = bytes(self.0, len)?;
        self.0.fuel.owed.bytes(drawn.len());
        Ok(drawn)
    }
}

impl HasData for HasRandom {
    type Data<'a> = RandomView<'a>;
}

impl random::Host for RandomView<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.0.history.frame().random.number())
    }
}

impl insecure::Host for RandomView<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.0.history.frame().random.number())
    }
}

impl insecure_seed::Host for RandomView<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.0.history.frame().random.insecure_seed())
    }
}
