//! What the pager has done since it opened; differences of two snapshots give a request's figures.

use std::ops::Sub;
use std::time::Duration;

use hotset_base::Bytes;

/// Running totals. Words as in ARCHITECTURE.md: a swap-in is one expert made ready by a read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PagerStats {
    /// Experts made ready by a read, for a token or before one chose it.
    pub swap_ins: u64,
    /// Bytes of weights those reads fetched.
    pub bytes_read: Bytes,
    /// Reads that had to be repeated.
    pub retries: u64,
    /// Time that compute waited for reads.
    pub stall: Duration,
    /// From the decision to read until ready, of experts that a token waited for.
    pub time_to_expert: Histogram,
    /// What prefetching did.
    pub prefetch: PrefetchStats,
    /// Experts read because a routing policy admitted them; what became of them (used, late, wasted) counts
    /// in `prefetch`, too, that they were started does not.
    pub admitted: u64,
    /// Experts read because a context was known again; they count in `prefetch`, too.
    pub preloaded: u64,
}

impl PagerStats {
    /// Bytes read of experts that a token chose: those prefetched for nothing are left out, as far as they
    /// have been evicted.
    pub fn needed_bytes(&self) -> f64 {
        let wasted = self.prefetch.wasted.min(self.swap_ins) as f64 / self.swap_ins.max(1) as f64;
        self.bytes_read.0 as f64 * (1.0 - wasted)
    }
}

/// Prefetches: experts read before a token chose them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefetchStats {
    /// Begun.
    pub started: u64,
    /// Ready when a token chose them.
    pub used: u64,
    /// Under way when a token chose them.
    pub late: u64,
    /// Evicted without having been chosen.
    pub wasted: u64,
    /// Taken back before the disk had begun.
    pub cancelled: u64,
}

impl Sub for PrefetchStats {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            started: self.started - earlier.started,
            used: self.used - earlier.used,
            late: self.late - earlier.late,
            wasted: self.wasted - earlier.wasted,
            cancelled: self.cancelled - earlier.cancelled,
        }
    }
}

impl Sub for PagerStats {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            swap_ins: self.swap_ins - earlier.swap_ins,
            bytes_read: self.bytes_read.saturating_sub(earlier.bytes_read),
            retries: self.retries - earlier.retries,
            stall: self.stall - earlier.stall,
            time_to_expert: self.time_to_expert - earlier.time_to_expert,
            prefetch: self.prefetch - earlier.prefetch,
            admitted: self.admitted - earlier.admitted,
            preloaded: self.preloaded - earlier.preloaded,
        }
    }
}

/// Buckets of a histogram: four to an octave, from [`Histogram::FIRST`] up.
const BUCKETS: usize = 80;

/// Durations in buckets whose borders are a quarter of an octave apart (19 %).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

impl Histogram {
    /// Upper border of the first bucket.
    const FIRST: Duration = Duration::from_micros(8);

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let octaves = (duration.as_secs_f64() / Self::FIRST.as_secs_f64()).log2();
        let bucket = (octaves * 4.0).ceil().clamp(0.0, (BUCKETS - 1) as f64);
        self.counts[bucket as usize] += 1;
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The upper border of the bucket that holds the given share (0 to 1) of the durations; zero when
    /// there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return Self::FIRST.mul_f64((bucket as f64 / 4.0).exp2());
            }
        }
        Duration::ZERO
    }
}

impl Sub for Histogram {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { counts: std::array::from_fn(|i| self.counts[i] - earlier.counts[i]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e3;
            assert!(found >= exact && found < exact * 1.2, "{share}: {found} ms");
        }
        let mut longest = Histogram::default();
        longest.record(Duration::from_secs(100_000));
        longest.record(Duration::ZERO);
        assert_eq!(longest.count(), 2);
    }
}
