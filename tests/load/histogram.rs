//! A histogram of the host's metrics, as its page of figures has it.

/// Upper bounds in seconds, and how many were no more than each.
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    /// The histogram of that name.
    pub fn of(metrics: &str, name: &str) -> Self {
        let head = format!("tidemill_{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&head)?.split_once("\"} ")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.trim().parse().ok()?))
        };
        Self(metrics.lines().filter_map(bucket).collect())
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// The bound that this share of them is within.
    pub fn share(&self, share: f64) -> String {
        let wanted = self.count() as f64 * share;
        let bound = self.0.iter().find(|(_, count)| *count as f64 >= wanted).map_or(f64::INFINITY, |(bound, _)| *bound);
        format!("{:.0} ms", bound * 1_000.0)
    }
}
