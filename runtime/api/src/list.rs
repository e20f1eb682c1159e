//! Pages of lists: `{"items": […], "next": cursor}`.

use tidemill_api_types::List;
use tidemill_core::Code;
use tidemill_core::wire::PageCursor;
use tidemill_store::records::{Page, PageRequest};

use crate::problem::{ApiResult, Problem};
use crate::request::QueryParams;

/// Builds the shape of a page. `list` is the list's name with its filters.
pub fn list_of<'a, R, T>(page: &'a Page<R>, list: &str, shape: impl FnMut(&'a R) -> T) -> List<T> {
    let next = page.next.clone().map(|place| PageCursor::new(place).encode(list));
    List { items: page.items.iter().map(shape).collect(), next }
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
