//! Splits long lists into batches, bounded in number and in bytes.

/// The number of items at the head of `items` that make a batch: at most `most`, up to and
/// including the item with which the batch reaches `bytes`. It is at least one, unless `items` is
/// empty or `most` is 0.
pub fn head<T>(items: &[T], most: usize, bytes: usize, size: impl Fn(&T) -> usize) -> usize {
    let mut so_far = 0;
    let fits = items.iter().take(most).enumerate().take_while(|(nth, item)| {
        let fits = *nth == 0 || so_far < bytes;
        so_far += size(item);
        fits
    });
    fits.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_the_item_that_fills_it() {
        let sizes = [3, 3, 3, 3];
        let head = |most, bytes| head(&sizes, most, bytes, |size| *size);
        assert_eq!((head(9, 6), head(9, 7), head(9, 100)), (2, 3, 4));
        assert_eq!((head(2, 100), head(0, 100)), (2, 0));
        assert_eq!((head(9, 0), super::head(&[], 9, 9, |size: &usize| *size)), (1, 0));
    }
}
