//! Registers host functions and charges each call: 500 units of fuel, one for each 16 bytes that
//! cross the boundary in either direction, and ten for each element of a list.

use std::collections::BTreeMap;
use std::pin::Pin;

use tidemill_core::limits::{HOST_CALL_ELEMENT_BYTES, HOST_CALL_FUEL};
use tidemill_core::{Code, Failure};
use tracing::{Instrument as _, Span};
use wasmtime::Engine;
use wasmtime::StoreContextMut;
use wasmtime::component::types::{self, ComponentFunc};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower};

use crate::component::bindings::wit;
use crate::guest::fuel::charge::{charge, charge_result};
use crate::guest::{GuestState, ReturnedCodes};

/// The answer of a host function that can fail.
pub(crate) type HostResult<T> = Result<T, wit::types::Failure>;

/// The return type of an asynchronous host function.
pub(crate) type HostFuture<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// Returns a failure of a call to the guest, and an error that stops the guest to wasmtime.
pub(crate) fn answer<T>(result: Result<T, Failure>) -> wasmtime::Result<HostResult<T>> {
    Ok(result.map_err(Into::into))
}

/// Checks that a component imports a function with the type with which it was registered.
type ImportCheck = fn(&ComponentFunc, &types::Component) -> wasmtime::Result<()>;

/// Everything that a component may import. It keeps the type of each function of `tidemill:guest`
/// in addition to the linker's definitions, because a linker reports only the first difference.
pub(crate) struct Contract {
    /// The definitions.
    pub linker: Linker<GuestState>,
    checks: BTreeMap<(String, String), ImportCheck>,
}

impl Contract {
    /// Returns an empty contract.
    pub fn new(engine: &Engine) -> Self {
        Self { linker: Linker::new(engine), checks: BTreeMap::new() }
    }

    /// Checks that `whole` imports a function of an interface of `tidemill:guest` with the host's
    /// type.
    ///
    /// # Errors
    /// The first type that differs. A function that the host does not have is not an error here.
    pub fn fits(
        &self,
        interface: &str,
        function: &str,
        imported: &ComponentFunc,
        whole: &types::Component,
    ) -> wasmtime::Result<()> {
        let check = self.checks.get(&(interface.to_owned(), function.to_owned()));
        check.map_or(Ok(()), |check| check(imported, whole))
    }
}

/// Returns the span of one host call.
fn span_of(interface: &'static str, function: &'static str) -> Span {
    let span = tracing::debug_span!("host_call", interface, function);
    span.in_scope(|| tracing::trace!("host call"));
    span
}

/// One interface of `tidemill:guest` in the linker.
pub(crate) struct Interface<'a> {
    name: &'static str,
    linker: LinkerInstance<'a, GuestState>,
    checks: &'a mut BTreeMap<(String, String), ImportCheck>,
}

impl<'a> Interface<'a> {
    /// Returns the interface with that name.
    pub fn new(contract: &'a mut Contract, name: &'static str) -> wasmtime::Result<Self> {
        let linker = contract.linker.instance(&format!("tidemill:guest/{name}@0.1.0"))?;
        Ok(Self { name, linker, checks: &mut contract.checks })
    }

    fn note<P, R>(&mut self, function: &str)
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let check: ImportCheck = |imported, whole| imported.typecheck::<P, R>(&whole.instance_type());
        self.checks.insert((self.name.to_owned(), function.to_owned()), check);
    }

    /// Registers a synchronous function with an answer.
    pub fn call<P, R>(
        &mut self,
        name: &'static str,
        run: fn(&mut GuestState, P) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lift + Lower + PayloadSize + 'static,
        R: ComponentType + Lift + Lower + PayloadSize + 'static,
    {
        self.note::<P, (R,)>(name);
        let interface = self.name;
        self.linker.func_wrap(name, move |mut store: StoreContextMut<'_, GuestState>, given: P| {
            let _span = span_of(interface, name).entered();
            charge(&mut store, HOST_CALL_FUEL, given.bytes())?;
            let answer = run(store.data_mut(), given)?;
            answer.note_codes(&mut store.data_mut().answered_codes);
            charge_result(&mut store, answer.bytes())?;
            Ok((answer,))
        })
    }

    /// Registers a synchronous function without an answer.
    pub fn tell<P>(
        &mut self,
        name: &'static str,
        run: fn(&mut GuestState, P) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lift + Lower + PayloadSize + 'static,
    {
        self.note::<P, ()>(name);
        let interface = self.name;
        self.linker.func_wrap(name, move |mut store: StoreContextMut<'_, GuestState>, given: P| {
            let _span = span_of(interface, name).entered();
            charge(&mut store, HOST_CALL_FUEL, given.bytes())?;
            run(store.data_mut(), given)
        })
    }

    /// Registers an asynchronous function.
    pub fn wait<P, R>(
        &mut self,
        name: &'static str,
        run: for<'g> fn(&'g mut GuestState, P) -> HostFuture<'g, R>,
    ) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lift + Lower + PayloadSize + Send + Sync + 'static,
        R: ComponentType + Lift + Lower + PayloadSize + Send + Sync + 'static,
    {
        self.note::<P, (R,)>(name);
        let interface = self.name;
        self.linker.func_wrap_async(name, move |mut store: StoreContextMut<'_, GuestState>, given: P| {
            let work = async move {
                charge(&mut store, HOST_CALL_FUEL, given.bytes())?;
                if store.data().is_save_due() {
                    store.data_mut().save().await?;
                }
                let answer = run(store.data_mut(), given).await?;
                answer.note_codes(&mut store.data_mut().answered_codes);
                charge_result(&mut store, answer.bytes())?;
                Ok((answer,))
            };
            Box::new(work.instrument(span_of(interface, name)))
        })
    }
}

/// A value that crosses the boundary between guest and host.
pub(crate) trait PayloadSize {
    /// Returns its size in bytes: its texts and lists, eight for any other value, and a share for
    /// each element of a list.
    fn bytes(&self) -> usize;

    /// Adds the host codes of the failures in it.
    fn note_codes(&self, _: &mut ReturnedCodes) {}
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl PayloadSize for $type {
            fn bytes(&self) -> usize {
                8
            }
        }
    )*};
}

plain!(bool, u32, u64, f64, wit::log::Level);

impl PayloadSize for () {
    fn bytes(&self) -> usize {
        0
    }
}

impl PayloadSize for u8 {
    fn bytes(&self) -> usize {
        1
    }
}

impl PayloadSize for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl PayloadSize for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<T: PayloadSize> PayloadSize for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, T::bytes)
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        self.iter().for_each(|value| value.note_codes(codes));
    }
}

impl<T: PayloadSize, E: PayloadSize> PayloadSize for Result<T, E> {
    fn bytes(&self) -> usize {
        match self {
            Ok(value) => value.bytes(),
            Err(error) => error.bytes(),
        }
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        match self {
            Ok(value) => value.note_codes(codes),
            Err(error) => error.note_codes(codes),
        }
    }
}

macro_rules! tuples {
    ($($name:ident),+) => {
        impl<$($name: PayloadSize),+> PayloadSize for ($($name,)+) {
            #[allow(non_snake_case, reason = "one name for type and value")]
            fn bytes(&self) -> usize {
                let ($($name,)+) = self;
                0 $(+ $name.bytes())+
            }
        }
    };
}

tuples!(A);
tuples!(A, B);
tuples!(A, B, C);

macro_rules! lists {
    ($($type:ty),* $(,)?) => {$(
        impl PayloadSize for Vec<$type> {
            fn bytes(&self) -> usize {
                self.iter().map(|element| HOST_CALL_ELEMENT_BYTES + element.bytes()).sum()
            }

            fn note_codes(&self, codes: &mut ReturnedCodes) {
                self.iter().for_each(|element| element.note_codes(codes));
            }
        }
    )*};
}

lists!(
    String,
    wit::types::Field,
    wit::types::Money,
    wit::http::Request,
    Result<wit::http::Response, wit::types::Failure>,
    wit::state::Entry,
    wit::durable::WaitFor,
    wit::durable::Outcome,
);

macro_rules! records {
    ($($type:ty { $($field:ident),* };)*) => {$(
        impl PayloadSize for $type {
            fn bytes(&self) -> usize {
                0 $(+ self.$field.bytes())*
            }

            fn note_codes(&self, codes: &mut ReturnedCodes) {
                $(self.$field.note_codes(codes);)*
            }
        }
    )*};
}

impl PayloadSize for i64 {
    fn bytes(&self) -> usize {
        8
    }
}

impl PayloadSize for u16 {
    fn bytes(&self) -> usize {
        2
    }
}

records! {
    wit::types::Field { name, value };
    wit::types::Money { minor_units, currency };
    wit::types::RetryPolicy { max_attempts, initial_delay, factor_permille, max_delay, jitter_permille };
    wit::context::Trigger { kind, name, id, at, parent, details };
    wit::http::Request { method, url, headers, body, secrets };
    wit::http::Response { status, headers, body, url, elapsed };
    wit::state::Entry { key, value };
    wit::state::Page { entries, next };
    wit::ledger::Entry { external_id, kind, amount, occurred_at, customer, description, metadata };
    wit::ledger::Posting { id };
    wit::ledger::Drawn { posting, amount };
    wit::ledger::AccountBalance { available, held, floor, next_expiry };
    wit::durable::StartOptions { idempotency_key, labels };
    wit::durable::Begun { id };
    wit::durable::First { index, event };
    wit::operator::DeploymentHealth { status, since, reason, paused };
}

impl PayloadSize for wit::types::Failure {
    fn bytes(&self) -> usize {
        self.code.len() + self.message.len() + self.details.bytes()
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        codes.extend(Code::parse(&self.code));
    }
}

impl PayloadSize for wit::durable::Target {
    fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.len(),
            Self::Key((deployment, key)) => deployment.len() + key.len(),
        }
    }
}

impl PayloadSize for wit::durable::Verdict {
    fn bytes(&self) -> usize {
        match self {
            Self::Done | Self::Again(_) => 8,
            Self::GiveUp(failure) => failure.bytes(),
        }
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        if let Self::GiveUp(failure) = self {
            failure.note_codes(codes);
        }
    }
}

impl PayloadSize for wit::durable::WaitFor {
    fn bytes(&self) -> usize {
        match self {
            Self::Signal(name) | Self::Run(name) => name.len(),
        }
    }
}

impl PayloadSize for wit::durable::Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Succeeded(output) => output.len(),
            Self::Failed(failure) => failure.bytes(),
            Self::Cancelled => 8,
        }
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        if let Self::Failed(failure) = self {
            failure.note_codes(codes);
        }
    }
}

impl PayloadSize for wit::durable::Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Signal(payload) => payload.len(),
            Self::Ended(outcome) => outcome.bytes(),
        }
    }

    fn note_codes(&self, codes: &mut ReturnedCodes) {
        if let Self::Ended(outcome) = self {
            outcome.note_codes(codes);
        }
    }
}
