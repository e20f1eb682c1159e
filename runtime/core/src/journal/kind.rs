//! The kinds of calls in a journal, and their numbers on disk. A number is never reused, because
//! each release must read the journals of all older releases.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal;)*) => {
        /// The kind of a recorded call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind, ordered by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Name of the call in the WIT: `interface.function`.
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
    /// The current time, WASI's clocks included.
    Now = 1 "clock.now";
    /// A sleep. Its answer is the first entry after the wait.
    Sleep = 2 "clock.sleep";
    /// The number of the attempt at the time of the call.
    Attempt = 3 "context.attempt";
    /// The beginning of a wait, with its deadline.
    Until = 5 "durable.wait";
    /// The run was notified by this call that it is cancelled.
    CancelNotice = 6 "durable.cancelled";
    /// Random bytes that are not drawn from the seed.
    Random = 4 "random.bytes";
    /// A read of state.
    StateGet = 10 "state.get";
    /// A write of state.
    StateSet = 11 "state.set";
    /// A removal from state.
    StateDelete = 12 "state.delete";
    /// A conditional write of state.
    StateCas = 13 "state.compare-and-set";
    /// A page of a state scan.
    StateScan = 14 "state.scan";
    /// A ledger posting.
    Post = 20 "ledger.post";
    /// A reservation of an amount.
    Reserve = 21 "ledger.reserve";
    /// The settlement of a reservation.
    Settle = 22 "ledger.settle";
    /// The release of a reservation.
    Void = 23 "ledger.void";
    /// A sum of the ledger.
    Revenue = 24 "ledger.revenue";
    /// A draw from a customer's credit.
    Draw = 25 "ledger.draw";
    /// The balance of a customer.
    Balance = 26 "ledger.balance";
    /// One HTTP request.
    Fetch = 30 "http.fetch";
    /// One answer of several requests, in the order of arrival.
    FetchAll = 31 "http.fetch-all";
    /// The answer to one of several, in the order in which they came.
    FetchSlot = 32 "http.fetch-all (one answer)";
    /// A signature.
    Sign = 40 "secrets.sign";
    /// A started run.
    Start = 50 "durable.start";
    /// A sent signal.
    Signal = 51 "durable.signal";
    /// A request to cancel a run.
    Cancel = 52 "durable.cancel";
    /// A wait for the first of several conditions.
    AwaitFirst = 53 "durable.await-first";
    /// A wait for several runs.
    AwaitAll = 54 "durable.await-all";
    /// A step that was refused before it began; its request is the step's path.
    BeginStep = 55 "durable.begin-step";
    /// A refused continue-as-new.
    ContinueAsNew = 56 "durable.continue-as-new";
    /// A published event.
    Publish = 60 "events.publish";
    /// A read of the health of another deployment.
    OperatorHealth = 70 "operator.health";
    /// A pause of another deployment.
    OperatorPause = 71 "operator.pause";
    /// The end of a pause of another deployment.
    OperatorResume = 72 "operator.resume";
    /// The return of another deployment to an earlier revision.
    OperatorRollback = 73 "operator.rollback";
    /// The retry of parked runs of another deployment.
    OperatorRetry = 74 "operator.retry-parked";
    /// The recycling of another deployment.
    OperatorRecycle = 75 "operator.recycle";
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
