//! Lists are read a page at a time; a cursor is the place to go on from.

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the page before ended; opaque bytes that the store gave out.
    pub cursor: Option<Vec<u8>>,
    /// At most so many items; the store may give fewer, and does where items are large.
    pub limit: usize,
}

impl PageRequest {
    /// The first page, of at most `limit` items.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { cursor: None, limit }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; none where this is the last.
    pub next: Option<Vec<u8>>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}
