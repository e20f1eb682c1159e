//! Balances of customers, with their grants.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_core::manifest::LedgerFloors;
use tidemill_core::money::{CUSTOMER_BYTES, LedgerStream, parse_decimal};
use tidemill_store::records::{BalanceFilter, CustomerAccount, CustomerBalance};

use super::report::query::as_of;
use super::{Amounts, check_known, json};
use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists balances of customers, with their grants, by stream, currency and customer
///
/// A balance contains every entry that was acknowledged before the request.
#[utoipa::path(
    get, path = "/v1/ledger/balances", tag = "ledger",
    params(
        ("customer" = Option<String>, Query, description = "of this customer"),
        ("stream" = Option<String>, Query, description = "of this stream"),
        ("as_of" = Option<String>, Query, description = "as it was after this sequence number, or at this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::CustomerBalance<'_>>))
)]
pub async fn balances(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["customer", "stream", "as_of", "limit", "cursor"])?;
    let stream = params.parsed::<LedgerStream>("stream")?;
    let customer = params.text("customer")?.map(str::to_owned);
    if customer.as_ref().is_some_and(|customer| customer.is_empty() || customer.len() > CUSTOMER_BYTES) {
        return Err(Problem::new(Code::BadQuery, format!("`customer` has 1 to {CUSTOMER_BYTES} bytes")));
    }
    let scope = format!("balances {stream:?} {customer:?} {:?}", params.text("as_of")?);
    let request = page_request(&params, &scope)?;
    let filter = BalanceFilter { stream, customer };
    let page = state.host.store().balances(&filter, request, as_of(&params)?, state.host.clock().now()).await?;
    if page.items.is_empty() {
        check_known(&state, filter.stream.as_ref()).await?;
    }
    let amounts = Amounts::of(&state).await?;
    let mut floors = Floors::default();
    for item in &page.items {
        floors.read(&state, &item.account.stream).await?;
    }
    let shape = |item| balance(item, floors.of(item, &amounts), &amounts);
    Ok(ok(&list_of(&page, &scope, shape)))
}

/// The floors of the manifests of streams.
#[derive(Default)]
pub(super) struct Floors(BTreeMap<String, LedgerFloors>);

impl Floors {
    /// Reads the floors of a stream, unless they are known.
    pub(super) async fn read(&mut self, state: &ApiState, stream: &LedgerStream) -> ApiResult<()> {
        if !self.0.contains_key(stream.deployment()) {
            let policy = super::policy_of(state, stream).await?;
            self.0.insert(stream.deployment().to_owned(), policy.floors);
        }
        Ok(())
    }

    /// The floor of a customer, in minor units.
    pub(super) fn of_customer(&self, account: &CustomerAccount, own: Option<i64>, amounts: &Amounts) -> i64 {
        let floors = self.0.get(account.stream.deployment());
        let text = floors.and_then(|floors| floors.customer.get(&account.currency));
        let exponent = amounts.exponent(&account.currency);
        let default = text.zip(exponent).and_then(|(text, exponent)| parse_decimal(text, exponent).ok());
        own.or(default).unwrap_or_default()
    }

    fn of(&self, item: &CustomerBalance, amounts: &Amounts) -> i64 {
        self.of_customer(&item.account, item.floor, amounts)
    }
}

fn balance<'a>(item: &'a CustomerBalance, floor: i64, amounts: &Amounts) -> shapes::CustomerBalance<'a> {
    let CustomerBalance { account, balance, grants, .. } = item;
    let amount = |minor_units: i128| amounts.amount(minor_units, &account.currency);
    shapes::CustomerBalance {
        stream: account.stream.as_str().into(),
        customer: (&account.customer).into(),
        currency: (&account.currency).into(),
        available: amount(balance.available),
        held: amount(balance.held),
        debt: amount(balance.debt),
        floor: amount(floor.into()),
        own_floor: item.floor.is_some(),
        next_expiry: balance.next_expiry.map(Into::into),
        grants: grants.iter().map(|grant| json::grant(grant, &account.currency, amounts)).collect(),
    }
}
