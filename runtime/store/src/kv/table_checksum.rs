//! How many records each table has and the order-independent sum of their checksums: what a scrub compares
//! with, and the only way to notice that the index has lost a record altogether.

/// Number and sum of one table's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSum {
    /// How many records the table has.
    pub count: u64,
    /// The wrapping sum of their checksums.
    pub sum: u64,
}

impl TableSum {
    /// What it becomes when the record with checksum `before` is replaced by the one with checksum `after`.
    pub(super) fn replaced(self, before: Option<u64>, after: Option<u64>) -> Self {
        Self {
            count: self.count.wrapping_add(u64::from(after.is_some())).wrapping_sub(u64::from(before.is_some())),
            sum: self.sum.wrapping_add(after.unwrap_or(0)).wrapping_sub(before.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_deleting_in_any_order_leads_to_the_same_sum() {
        let one = TableSum::default().replaced(None, Some(7)).replaced(None, Some(u64::MAX)).replaced(Some(7), None);
        let other = TableSum::default().replaced(None, Some(3)).replaced(Some(3), Some(u64::MAX));
        assert_eq!(one, other);
        assert_eq!(one, TableSum { count: 1, sum: u64::MAX });
    }
}
