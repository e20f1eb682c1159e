//! The customers who brought most, and the average of all.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::Ratio;
use tidemill_store::records::{CustomerQuery, CustomerSum, CustomerTotal};

use super::query::{DefaultRange, PARAMS, ReportQuery};
use crate::ledger::{Amounts, check_known};
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Default number of customers for each currency.
const TOP_DEFAULT: usize = 10;
/// Maximum number of customers for each currency.
pub const TOP_MOST: usize = 1_000;

/// Lists the customers with the highest net revenue
///
/// Customers of different streams with the same id are one customer if the report is about all
/// streams.
#[utoipa::path(
    get, path = "/v1/ledger/customers", tag = "ledger",
    params(
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("period" = Option<String>, Query, description = "within this day, week, month or year: `2026-10-05`, `2026-W41`, `2026-10`, `2026`"),
        ("start" = Option<String>, Query, description = "from this time (RFC 3339), inclusive; the beginning if left out"),
        ("end" = Option<String>, Query, description = "before this time (RFC 3339); the end of this quarter of an hour if left out"),
        ("time_zone" = Option<String>, Query, description = "IANA time zone of the period; UTC if left out"),
        ("by" = Option<String>, Query, description = "`occurred` (if left out) or `posted`: the time by which entries count"),
        ("as_of" = Option<String>, Query, description = "count only entries up to this sequence number, or posted up to this time (RFC 3339)"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
        ("top" = Option<usize>, Query, description = "maximum number of customers for each currency, 1 to 1000; 10 if left out"),
    ),
    responses((status = 200, body = shapes::CustomerReport<'_>))
)]
pub async fn customers(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&PARAMS[..], &["top"]].concat())?;
    let query = ReportQuery::read(&state, &params, DefaultRange::All)?;
    let top = params.number("top", TOP_DEFAULT, TOP_MOST)?;
    let request = CustomerQuery { scope: query.scope.clone(), range: query.range.range(), top };
    let report = state.host.store().customer_totals(request).await?;
    let amounts = Amounts::of(&state).await?;
    if report.totals.is_empty() {
        check_known(&state, query.scope.stream.as_ref()).await?;
    }
    Ok(ok(&shapes::CustomerReport {
        basis: query.basis(report.sequence),
        range: query.range.shape(),
        currencies: report.totals.into_iter().map(|total| shape(total, &amounts)).collect(),
    }))
}

fn shape(total: CustomerTotal, amounts: &Amounts) -> shapes::CustomerCurrency {
    let line = |customer: Option<String>, sum: CustomerSum| shapes::CustomerRevenue {
        customer,
        entries: sum.entries,
        net_revenue: amounts.amount(sum.net_revenue, &total.currency),
    };
    let net_revenue = amounts.amount(total.net_revenue, &total.currency);
    let average = Ratio::per(total.net_revenue, net_revenue.exponent, total.customers.into());
    shapes::CustomerCurrency {
        customers: total.customers,
        net_revenue,
        average: average.map(|ratio| ratio.to_string()),
        top: total.top.iter().map(|(customer, sum)| line(Some(customer.clone()), *sum)).collect(),
        without_customer: line(None, total.without_customer),
        currency: total.currency,
    }
}
