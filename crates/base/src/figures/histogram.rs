//! Durations, counted in buckets: their quantiles without keeping them.

use std::ops::{Add, Sub};
use std::time::Duration;

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

    /// The upper border of the bucket that holds the given share (0 to 1) of the durations; `None` when there
    /// are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return Some(Self::FIRST.mul_f64((bucket as f64 / 4.0).exp2()));
            }
        }
        None
    }
}

impl Add for Histogram {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { counts: std::array::from_fn(|i| self.counts[i] + other.counts[i]) }
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
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!(found >= exact && found < exact * 1.2, "{share}: {found} ms");
        }
        let mut longest = Histogram::default();
        longest.record(Duration::from_secs(100_000));
        longest.record(Duration::ZERO);
        assert_eq!((longest.count(), (longest + histogram - longest).count()), (2, 1000));
    }
}
