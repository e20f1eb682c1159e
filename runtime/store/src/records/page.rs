//! Pages of lists. A cursor is the position where the next page starts.

/// Selects a page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the previous page ended, as opaque bytes that the store returned; `None` for the first
    /// page.
    pub cursor: Option<Vec<u8>>,
    /// Maximum number of items. The store may return fewer, for example if items are large.
    pub limit: usize,
}

impl PageRequest {
    /// Requests the first page, with at most `limit` items.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { cursor: None, limit }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` if this is the last page.
    pub next: Option<Vec<u8>>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

impl<T> Page<T> {
    /// Converts each item of the page.
    pub(crate) fn try_map<U, E>(self, f: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        Ok(Page { items: self.items.into_iter().map(f).collect::<Result<_, _>>()?, next: self.next })
    }
}
