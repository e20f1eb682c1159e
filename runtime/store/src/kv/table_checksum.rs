//! The number of each table's records and the order-independent sum of their checksums. A scrub
//! compares them with the index. Only they can show that the index has lost a whole record.

/// Number and checksum sum of one table's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSum {
    /// Number of records in the table.
    pub count: u64,
    /// Wrapping sum of the records' checksums.
    pub sum: u64,
}

impl TableSum {
    /// Returns the sum after the record with checksum `before` is replaced by one with checksum
    /// `after`.
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
    fn the_sum_does_not_depend_on_the_order_of_writes() {
        let one = TableSum::default().replaced(None, Some(7)).replaced(None, Some(u64::MAX)).replaced(Some(7), None);
        let other = TableSum::default().replaced(None, Some(3)).replaced(Some(3), Some(u64::MAX));
        assert_eq!(one, other);
        assert_eq!(one, TableSum { count: 1, sum: u64::MAX });
    }
}
