//! The states of a reservation. Engine, store and timer call only [`Reservation::next`].
//!
//! ```text
//! open ── settle ──> settled
//!   ├──── void ────> voided
//!   └──── expire ──> expired
//! ```
//!
//! Invariants: a reservation ends once, and an end never changes. The same settlement or void again
//! is a duplicate. From `expires_at` on, whether or not the timer has run, only `expire` is
//! possible.

use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::ids::Timestamp;

/// The state of a reservation. The order of the variants is stored: add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReservationState {
    /// The amount is pending.
    Open,
    /// An amount was posted, and the rest was returned.
    Settled {
        /// The posted amount, in minor units.
        minor_units: i64,
    },
    /// All of it was returned on request.
    Voided,
    /// All of it was returned because its time was over.
    Expired,
}

impl ReservationState {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled { .. } => "settled",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }

    /// What the host adds to the external id of a reservation, for the entry that ends it.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Settled { .. } => Some("/settled"),
            Self::Voided => Some("/voided"),
            Self::Expired => Some("/expired"),
        }
    }
}

/// What the rules need to know about a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The reserved amount, in minor units; above zero.
    pub minor_units: i64,
    /// Code of its currency.
    pub currency: String,
    /// When it expires, from that millisecond on.
    pub expires_at: Option<Timestamp>,
    /// Its state.
    pub state: ReservationState,
}

/// What can happen to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationEvent<'a> {
    /// Post an amount, in minor units and the code of its currency, and return the rest. `None` is
    /// the whole amount.
    Settle(Option<(i64, &'a str)>),
    /// Return all of it on request.
    Void,
    /// Return all of it because its time is over.
    Expire,
}

/// What an event does to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationStep {
    /// It ends in this state.
    End(ReservationState),
    /// It ended by the same event before. Nothing happens.
    Duplicate,
}

/// Why an event cannot happen. The reservation stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReservationRefusal {
    /// It was settled, with another amount or before this event.
    #[error("the reservation was settled with {0} minor units")]
    AlreadySettled(i64),
    /// It was voided.
    #[error("the reservation was voided")]
    AlreadyVoided,
    /// Its time is over.
    #[error("the reservation has expired")]
    AlreadyExpired,
    /// The amount to settle is zero or less.
    #[error("{0} minor units cannot be settled: the amount is above zero; `void` returns all of a reservation")]
    Sign(i64),
    /// The amount to settle exceeds the reservation.
    #[error("{given} minor units cannot be settled: {reserved} are reserved")]
    Amount {
        /// The amount to settle.
        given: i64,
        /// The reserved amount.
        reserved: i64,
    },
    /// The amount to settle is in another currency.
    #[error("an amount in `{given}` cannot be settled: the reservation is in {reserved}")]
    Currency {
        /// The currency of the amount to settle.
        given: String,
        /// The currency of the reservation.
        reserved: String,
    },
    /// It does not expire yet.
    #[error("the reservation has not expired yet")]
    NotDue,
}

impl ReservationRefusal {
    /// Code of the failure.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::AlreadySettled(_) => Code::ReservationSettled,
            Self::AlreadyVoided => Code::ReservationVoided,
            Self::AlreadyExpired => Code::ReservationExpired,
            Self::Sign(_) => Code::WrongSign,
            Self::Amount { .. } | Self::Currency { .. } => Code::SettleAmount,
            Self::NotDue => Code::BadArgument,
        }
    }
}

impl Reservation {
    /// Whether its time is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns what an event at `now` does to it.
    ///
    /// # Errors
    /// If the event cannot happen.
    pub fn next(&self, event: ReservationEvent<'_>, now: Timestamp) -> Result<ReservationStep, ReservationRefusal> {
        use ReservationEvent as Event;
        use ReservationRefusal as Refusal;
        if let Event::Settle(Some((minor_units @ ..=0, _))) = event {
            return Err(Refusal::Sign(minor_units));
        }
        match (self.state, event) {
            (ReservationState::Open, Event::Expire) if self.is_over(now) => {
                Ok(ReservationStep::End(ReservationState::Expired))
            }
            (ReservationState::Open, Event::Expire) => Err(Refusal::NotDue),
            (ReservationState::Open, _) if self.is_over(now) => Err(Refusal::AlreadyExpired),
            (ReservationState::Open, Event::Settle(amount)) => {
                let minor_units = self.amount_to_settle(amount)?;
                Ok(ReservationStep::End(ReservationState::Settled { minor_units }))
            }
            (ReservationState::Open, Event::Void) => Ok(ReservationStep::End(ReservationState::Voided)),
            (ReservationState::Settled { minor_units }, Event::Settle(amount))
                if self.amount_to_settle(amount) == Ok(minor_units) =>
            {
                Ok(ReservationStep::Duplicate)
            }
            (ReservationState::Voided, Event::Void) | (ReservationState::Expired, Event::Expire) => {
                Ok(ReservationStep::Duplicate)
            }
            (ReservationState::Settled { minor_units }, _) => Err(Refusal::AlreadySettled(minor_units)),
            (ReservationState::Voided, _) => Err(Refusal::AlreadyVoided),
            (ReservationState::Expired, _) => Err(Refusal::AlreadyExpired),
        }
    }

    fn amount_to_settle(&self, amount: Option<(i64, &str)>) -> Result<i64, ReservationRefusal> {
        let reserved = self.minor_units;
        match amount {
            None => Ok(reserved),
            Some((_, currency)) if currency != self.currency => Err(ReservationRefusal::Currency {
                given: crate::wire::json::shown(currency),
                reserved: self.currency.clone(),
            }),
            Some((given, _)) if given > reserved => Err(ReservationRefusal::Amount { given, reserved }),
            Some((given, _)) => Ok(given),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn reservation(state: ReservationState) -> Reservation {
        Reservation { minor_units: 100, currency: "EUR".to_owned(), expires_at: Some(AT), state }
    }

    fn settle(minor_units: i64) -> ReservationEvent<'static> {
        ReservationEvent::Settle(Some((minor_units, "EUR")))
    }

    #[test]
    fn an_open_reservation_is_settled_in_whole_or_part_or_voided() {
        let open = reservation(ReservationState::Open);
        let before = Timestamp::from_millis(999);
        for (event, end) in [
            (ReservationEvent::Settle(None), ReservationState::Settled { minor_units: 100 }),
            (settle(100), ReservationState::Settled { minor_units: 100 }),
            (settle(1), ReservationState::Settled { minor_units: 1 }),
            (ReservationEvent::Void, ReservationState::Voided),
        ] {
            assert_eq!(open.next(event, before), Ok(ReservationStep::End(end)));
        }
        for (event, code) in [
            (settle(0), Code::WrongSign),
            (settle(-1), Code::WrongSign),
            (settle(i64::MIN), Code::WrongSign),
            (settle(101), Code::SettleAmount),
            (ReservationEvent::Settle(Some((1, "USD"))), Code::SettleAmount),
            (ReservationEvent::Settle(Some((1, "eur"))), Code::SettleAmount),
        ] {
            assert_eq!(open.next(event, before).unwrap_err().code(), code, "{event:?}");
        }
    }

    #[test]
    fn a_reservation_is_over_from_its_very_millisecond_on() {
        let open = reservation(ReservationState::Open);
        let (before, at) = (Timestamp::from_millis(999), AT);
        assert_eq!(open.next(ReservationEvent::Expire, before), Err(ReservationRefusal::NotDue));
        assert_eq!(open.next(ReservationEvent::Expire, at), Ok(ReservationStep::End(ReservationState::Expired)));
        for event in [settle(1), ReservationEvent::Void] {
            assert!(open.next(event, before).is_ok());
            assert_eq!(open.next(event, at), Err(ReservationRefusal::AlreadyExpired));
            // The answer is the same after the timer has run.
            assert_eq!(reservation(ReservationState::Expired).next(event, at), Err(ReservationRefusal::AlreadyExpired));
        }
        let unlimited = Reservation { expires_at: None, ..open };
        assert!(unlimited.next(settle(1), Timestamp::MAX).is_ok());
        assert_eq!(unlimited.next(ReservationEvent::Expire, Timestamp::MAX), Err(ReservationRefusal::NotDue));
    }

    #[test]
    fn the_same_settlement_again_is_a_duplicate_and_another_is_refused() {
        let settled = reservation(ReservationState::Settled { minor_units: 100 });
        for event in [settle(100), ReservationEvent::Settle(None)] {
            assert_eq!(settled.next(event, Timestamp::MAX), Ok(ReservationStep::Duplicate));
        }
        for event in [settle(99), settle(101), ReservationEvent::Void, ReservationEvent::Expire] {
            assert_eq!(settled.next(event, AT).unwrap_err().code(), Code::ReservationSettled, "{event:?}");
        }
        let part = reservation(ReservationState::Settled { minor_units: 40 });
        assert_eq!(part.next(settle(40), AT), Ok(ReservationStep::Duplicate));
        assert_eq!(part.next(ReservationEvent::Settle(None), AT).unwrap_err().code(), Code::ReservationSettled);
        let voided = reservation(ReservationState::Voided);
        assert_eq!(voided.next(ReservationEvent::Void, Timestamp::MAX), Ok(ReservationStep::Duplicate));
        assert_eq!(voided.next(settle(1), AT).unwrap_err().code(), Code::ReservationVoided);
    }

    fn events() -> impl Strategy<Value = (Option<Option<i64>>, bool, u64)> {
        (prop::option::of(prop::option::of(-5i64..120)), any::<bool>(), 990u64..1_010)
    }

    proptest! {
        #[test]
        fn a_reservation_ends_at_most_once_and_returns_what_it_does_not_post(
            events in prop::collection::vec(events(), 0..30)
        ) {
            let mut reservation = reservation(ReservationState::Open);
            let (mut ends, mut now) = (0, 0);
            for (amount, expires, at) in events {
                now = now.max(at);
                let event = match amount {
                    Some(amount) => ReservationEvent::Settle(amount.map(|minor_units| (minor_units, "EUR"))),
                    None if expires => ReservationEvent::Expire,
                    None => ReservationEvent::Void,
                };
                match reservation.next(event, Timestamp::from_millis(now)) {
                    Ok(ReservationStep::End(state)) => {
                        prop_assert_eq!(reservation.state, ReservationState::Open);
                        prop_assert!(state.suffix().is_some());
                        if let ReservationState::Settled { minor_units } = state {
                            prop_assert!((1..=100).contains(&minor_units) && now < 1_000);
                        }
                        reservation.state = state;
                        ends += 1;
                    }
                    Ok(ReservationStep::Duplicate) => prop_assert_ne!(reservation.state, ReservationState::Open),
                    Err(_) => {}
                }
            }
            prop_assert!(ends <= 1);
        }
    }
}
