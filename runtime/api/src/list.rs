//! Pages of lists: `{"items": […], "next": cursor}`.

use serde::Serialize;
use tidemill_core::Code;
use tidemill_core::wire::PageCursor;
use tidemill_store::records::{Page, PageRequest};
use utoipa::ToSchema;

use crate::problem::{ApiResult, Problem};
use crate::request::QueryParams;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Builds the wire form of a page. `list` is the list's name with its filters.
    pub fn of<'a, R>(page: &'a Page<R>, list: &str, wire: impl FnMut(&'a R) -> T) -> Self {
        let next = page.next.clone().map(|place| PageCursor::new(place).encode(list));
        Self { items: page.items.iter().map(wire).collect(), next }
    }
}

/// Parses `limit` and `cursor` for `list`, the list's name with its filters.
///
/// # Errors
/// [`Code::BadQuery`] and [`Code::BadCursor`].
pub fn page_request(params: &QueryParams, list: &str) -> ApiResult<PageRequest> {
    let read = |text: &str| {
        PageCursor::decode(list, text)
            .map(|cursor| cursor.position().to_vec())
            .map_err(|why| Problem::new(Code::BadCursor, why.to_string()))
    };
    Ok(PageRequest { cursor: params.text("cursor")?.map(read).transpose()?, limit: params.limit()? })
}
