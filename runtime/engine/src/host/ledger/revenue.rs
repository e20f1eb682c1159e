//! `revenue`: the committed net revenue of the stream.

use std::sync::Arc;

use tidemill_core::journal::Kind;
use tidemill_core::{Code, Failure, Timestamp};

use super::{allowed, stream_of};
use crate::component::bindings::wit::types::Money;
use crate::guest::{GuestState, read};
use crate::host::abi::{HostFuture, HostResult, answer};
use crate::replay::state::hash;

pub(super) fn revenue(guest: &mut GuestState, (start, end): (u64, u64)) -> HostFuture<'_, HostResult<Vec<Money>>> {
    Box::pin(async move {
        if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("ledger.revenue")) {
            return answer(Err(failure));
        }
        let request = hash(&[&start.to_le_bytes(), &end.to_le_bytes()]);
        let money = |earned: Vec<(i64, String)>| {
            earned.into_iter().map(|(minor_units, currency)| Money { minor_units, currency }).collect()
        };
        if let Some(earned) = guest.replay::<Result<Vec<(i64, String)>, Failure>>(Kind::Revenue, request)? {
            return answer(earned.map(money));
        }
        let earned = match allowed(guest) {
            Ok(()) => revenue_now(guest, Timestamp::from_millis(start), Timestamp::from_millis(end)).await?,
            Err(failure) => Err(failure),
        };
        guest.record(Kind::Revenue, request, &earned, None)?;
        answer(earned.map(money))
    })
}

async fn revenue_now(
    guest: &mut GuestState,
    start: Timestamp,
    end: Timestamp,
) -> wasmtime::Result<Result<Vec<(i64, String)>, Failure>> {
    let store = Arc::clone(&guest.services.store);
    let stream = stream_of(guest);
    let totals = read(|| store.revenue(&stream, start, end)).await?;
    let earned = totals.into_iter().map(|total| {
        i64::try_from(total.net_revenue)
            .map(|minor_units| (minor_units, total.currency))
            .map_err(|_| Code::AmountOverflow.failure("the revenue of that period exceeds 64 bits"))
    });
    Ok(earned.collect())
}
