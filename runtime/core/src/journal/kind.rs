//! What kinds of call a journal can hold, each with the number that stands for it on disk. Numbers are given once and
//! never again: what an older release wrote is read for ever.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal;)*) => {
        /// The kind of a recorded call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind, by its number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The call's name as the WIT has it: `interface.function`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The kind with that number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// The time, WASI's clocks included.
    Now = 1 "clock.now";
    /// A sleep; its answer is the first entry after the wait.
    Sleep = 2 "clock.sleep";
    /// How often the run was tried, as it stood when it was asked.
    Attempt = 3 "context.attempt";
    /// The beginning of a wait, with its end in time.
    Until = 5 "durable.wait";
    /// The run was told that it is to end, by the call that it made here.
    Told = 6 "durable.cancelled";
    /// Randomness that is no stream of the seed.
    Random = 4 "random.bytes";
    /// A read of state.
    StateGet = 10 "state.get";
    /// A write of state.
    StateSet = 11 "state.set";
    /// A removal from state.
    StateDelete = 12 "state.delete";
    /// A conditional write of state.
    StateCas = 13 "state.compare-and-set";
    /// A page of state.
    StateScan = 14 "state.scan";
    /// A ledger posting.
    Post = 20 "ledger.post";
    /// A held amount.
    Reserve = 21 "ledger.reserve";
    /// The settlement of one.
    Settle = 22 "ledger.settle";
    /// The release of one.
    Void = 23 "ledger.void";
    /// A sum of the ledger.
    Revenue = 24 "ledger.revenue";
    /// One HTTP request.
    Fetch = 30 "http.fetch";
    /// Several HTTP requests.
    FetchAll = 31 "http.fetch-all";
    /// The answer to one of several, in the order in which they came.
    FetchSlot = 32 "http.fetch-all (one answer)";
    /// A signature.
    Sign = 40 "secrets.sign";
    /// A run that was started.
    Start = 50 "durable.start";
    /// A signal that was sent.
    Signal = 51 "durable.signal";
    /// A cancellation that was asked for.
    Cancel = 52 "durable.cancel";
    /// A wait for the first of several things.
    AwaitFirst = 53 "durable.await-first";
    /// A wait for several runs.
    AwaitAll = 54 "durable.await-all";
    /// A step that was refused rather than begun; its request is the step's path.
    BeginStep = 55 "durable.begin-step";
    /// A refusal to continue as new.
    ContinueAsNew = 56 "durable.continue-as-new";
    /// A published event.
    Publish = 60 "events.publish";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_kind_and_fits_a_tag() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(*kind as u8), Some(*kind));
            assert!((*kind as u8) < 0x80);
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
