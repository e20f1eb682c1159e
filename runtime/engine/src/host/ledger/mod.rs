//! `tidemill:guest/ledger`: entries are validated by the domain's rules and wait for the run's
//! commit; `revenue` reads committed entries, and `balance` those of the transaction too.

mod balance;
mod draw;
mod entry;
mod floor;
mod reservation;
mod revenue;

use serde::{Deserialize, Serialize};
use tidemill_core::money::{EntryCall, LedgerStream, Leg};
use tidemill_core::run::TriggerKind;
use tidemill_core::{Code, Failure};
use tidemill_store::records::{Evidence, LedgerLeg};

use super::abi::{Contract, Interface};
use crate::component::bindings::wit::ledger::{Entry, Posting};
use crate::component::bindings::wit::types::Money;
use crate::guest::GuestState;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut ledger = Interface::new(contract, "ledger")?;
    ledger.wait("post", |guest, (entry,): (Entry,)| Box::pin(entry::write(guest, EntryCall::Post, entry)))?;
    ledger.wait("reserve", |guest, (entry,): (Entry,)| Box::pin(entry::write(guest, EntryCall::Reserve, entry)))?;
    ledger.wait("settle", |guest, (posting, amount): (String, Option<Money>)| {
        Box::pin(reservation::settle(guest, posting, amount))
    })?;
    ledger.wait("void", |guest, (posting,): (String,)| Box::pin(reservation::void(guest, posting)))?;
    ledger.wait("revenue", revenue::revenue)?;
    ledger.wait("draw", |guest, (entry, partial): (Entry, bool)| Box::pin(draw::draw(guest, entry, partial)))?;
    ledger.wait("balance", |guest, (customer, currency): (String, String)| {
        Box::pin(balance::balance(guest, customer, currency))
    })
}

/// A posting, as it is recorded.
#[derive(Serialize, Deserialize)]
struct RecordedPosting {
    id: String,
    duplicate: bool,
}

impl RecordedPosting {
    fn into_posting(self) -> Posting {
        Posting { id: self.id, duplicate: self.duplicate }
    }
}

fn allowed(guest: &GuestState) -> Result<(), Failure> {
    if guest.grants().ledger {
        return Ok(());
    }
    Err(Code::NotGranted.failure("the deployment may not use the ledger; add to `[grants]`: ledger = true"))
}

/// Returns the stream of the run's entries.
fn stream_of(guest: &GuestState) -> LedgerStream {
    LedgerStream::of(&guest.run.deployment)
}

/// Returns an id derived from the run and the position in it: the same in every attempt and replay,
/// and unique.
fn posting_id(guest: &mut GuestState) -> String {
    let (run, generation) = (guest.run.id, guest.run.generation);
    let outside = guest.history.depth() == 0;
    let frame = guest.history.frame();
    let posts = frame.posts;
    frame.posts += 1;
    if outside {
        return format!("{run}-{generation}-{posts:05}");
    }
    let path = u64::from_le_bytes(frame.path.first_chunk().copied().unwrap_or_default());
    format!("{run}-{generation}-{path:016x}-{posts:05}")
}

/// Counts a replayed posting, so that the next new one gets the id that it would have without a
/// replay.
fn count_replayed(guest: &mut GuestState, posted: Option<&RecordedPosting>) {
    guest.history.frame().posts += u32::from(posted.is_some_and(|posted| !posted.duplicate));
}

/// Returns what the host knows about the origin of an entry: the component, the delivery that the
/// run processes, and the answers that the transaction has read.
fn evidence(guest: &GuestState) -> Evidence {
    let trigger = &guest.run.trigger;
    Evidence {
        component: Some(guest.run.component),
        delivery: if trigger.kind == TriggerKind::Webhook { trigger.id.clone() } else { None },
        responses: guest.transaction.answers().to_vec(),
        by_hand: None,
    }
}

fn stored(legs: [Leg; 2]) -> Vec<LedgerLeg> {
    legs.map(LedgerLeg::from).to_vec()
}
