//! `draw`: a drawdown on the condition that the customer's credit suffices.

use serde::{Deserialize, Serialize};
use tidemill_core::Failure;
use tidemill_core::journal::Kind;
use tidemill_core::money::EntryCall;

use super::{RecordedPosting, allowed, count_replayed, entry};
use crate::component::bindings::wit::ledger::{Drawn, Entry};
use crate::component::bindings::wit::types::Money;
use crate::guest::GuestState;
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;

/// What was drawn, as it is recorded.
#[derive(Serialize, Deserialize)]
struct RecordedDraw {
    posting: Option<RecordedPosting>,
    minor_units: i64,
}

impl RecordedDraw {
    fn into_drawn(self, currency: String) -> Drawn {
        let amount = Money { minor_units: self.minor_units, currency };
        Drawn { posting: self.posting.map(RecordedPosting::into_posting), amount }
    }
}

/// Draws an amount, or what is above the floor if `partial`.
pub(super) async fn draw(guest: &mut GuestState, entry: Entry, partial: bool) -> wasmtime::Result<HostResult<Drawn>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("ledger.draw")) {
        return answer(Err(failure));
    }
    let checked = match entry::check(guest, EntryCall::Draw, &entry) {
        Ok(checked) => checked,
        Err(bad) => return answer(Err(bad)),
    };
    let currency = entry.amount.currency.clone();
    let request = hash(&[entry.external_id.as_bytes(), &checked.fingerprint, &[partial.into()]]);
    if let Some(drawn) = guest.replay::<Result<RecordedDraw, Failure>>(Kind::Draw, request)? {
        count_replayed(guest, drawn.as_ref().ok().and_then(|drawn| drawn.posting.as_ref()));
        return answer(drawn.map(|drawn| drawn.into_drawn(currency)));
    }
    let shown = entry.external_id.clone();
    let drawn = match allowed(guest) {
        Ok(()) => entry::write_now(guest, EntryCall::Draw, partial, entry, checked).await?,
        Err(failure) => Err(failure),
    };
    let drawn = drawn.map(|written| RecordedDraw { posting: written.posting, minor_units: written.minor_units });
    let is_new = |drawn: &RecordedDraw| drawn.posting.as_ref().is_some_and(|posting| !posting.duplicate);
    if drawn.as_ref().is_ok_and(is_new) {
        guest.transaction.note_claim();
    }
    guest.record(Kind::Draw, request, &drawn, Some(shown.as_bytes()))?;
    answer(drawn.map(|drawn| drawn.into_drawn(currency)))
}
