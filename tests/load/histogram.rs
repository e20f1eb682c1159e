//! A histogram of the host, as `/metrics` shows it.

use crate::host::Host;

/// Upper bounds in seconds, and the number of values up to each.
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    /// Reads the present histogram `name` of the host.
    pub async fn read(host: &Host, name: &str) -> Self {
        let metrics = host.http.get(host.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let head = format!("tidemill_{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&head)?.split_once("\"} ")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.trim().parse().ok()?))
        };
        Self(metrics.lines().filter_map(bucket).collect())
    }

    /// The values since `before`, an earlier reading of the same histogram.
    pub fn since(&self, before: &Self) -> Self {
        let more = self.0.iter().zip(&before.0).map(|((bound, count), (_, was))| (*bound, count - was));
        Self(more.collect())
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// The smallest bound that covers this share of the values.
    pub fn share(&self, share: f64) -> String {
        let wanted = self.count() as f64 * share;
        let bound = self.0.iter().find(|(_, count)| *count as f64 >= wanted).map_or(f64::INFINITY, |(bound, _)| *bound);
        format!("{:.0} ms", bound * 1_000.0)
    }

    /// The quantile of this share, in milliseconds, interpolated linearly within a bucket.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = self.count() as f64 * share;
        let mut below = (0.0, 0.0);
        for (bound, count) in self.0.iter().map(|(bound, count)| (*bound, *count as f64)) {
            if count >= wanted && count > below.1 {
                return (below.0 + (bound - below.0) * (wanted - below.1) / (count - below.1)) * 1_000.0;
            }
            below = (bound, count);
        }
        f64::NAN
    }
}
