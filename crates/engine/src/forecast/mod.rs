//! How fast a model would decode here, from what a token touches and what the machine gives.

mod locality;

pub use locality::{Locality, LocalityError};

use crate::bench::{Floor, TokenBytes};

/// How much of the shorter of computing and reading hides behind the longer; 1 would be a perfect overlap.
/// Experts are prefetched while others compute, so most does. `hotset bench` prints what a run reached;
/// this value and the two below are from runs of Qwen3-30B-A3B's shapes (docs/performance.md).
pub const OVERLAP: f64 = 0.9;

/// Time of a token with all experts in memory over the time of its matrices: norms, attention over a short
/// context, choosing experts, handing work to threads.
const BESIDE_MATRICES: f64 = 1.2;

/// Experts prefetched for nothing, over those that were needed.
const WASTED_READS: f64 = 0.15;

/// What the machine gives, measured or told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speeds {
    /// Bytes per second from memory.
    pub memory: f64,
    /// Bytes per second from disk, random experts.
    pub disk: f64,
    /// Seconds of processor time per byte read, shared by the threads that compute; 0 if not measured.
    pub read_cpu: f64,
    /// Seconds of one token's matrices with all experts in memory; `None` if not measured.
    pub compute: Option<f64>,
    /// Threads that compute.
    pub threads: usize,
}

/// A forecast for decoding, times in seconds per token.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Forecast {
    /// Share of chosen experts that need no read.
    pub hit_rate: f64,
    /// Bytes a token needs from disk.
    pub read_bytes: f64,
    /// To read them, and what is prefetched for nothing.
    pub disk_seconds: f64,
    /// To read the weights a token touches from memory.
    pub memory_seconds: f64,
    /// To compute: its matrices as measured, in no less than `memory_seconds`, what comes beside them, and copying
    /// and checking what is read.
    pub compute_seconds: f64,
    /// All together.
    pub token_seconds: f64,
}

impl Forecast {
    /// The formula, for people.
    pub const FORMULA: &str = "max(compute, disk) + (1 - overlap) x min(compute, disk)";

    /// For a model that touches `bytes` and finds `hit_rate` of its experts in memory.
    pub fn new(bytes: &TokenBytes, hit_rate: f64, speeds: Speeds, overlap: f64) -> Self {
        let read_bytes = (1.0 - hit_rate) * bytes.experts.0 as f64;
        let all_reads = (1.0 + WASTED_READS) * read_bytes;
        let floor = Floor::new(bytes.total().0 as f64, speeds.memory, all_reads, speeds.disk);
        let reading = all_reads * speeds.read_cpu / speeds.threads.max(1) as f64;
        let compute = BESIDE_MATRICES * speeds.compute.unwrap_or(0.0).max(floor.memory) + reading;
        let (long, short) = (compute.max(floor.disk), compute.min(floor.disk));
        Self {
            hit_rate,
            read_bytes,
            disk_seconds: floor.disk,
            memory_seconds: floor.memory,
            compute_seconds: compute,
            token_seconds: long + (1.0 - overlap) * short,
        }
    }

    /// The overlap with which the formula gives a measured time, seconds per token. `None` where nothing
    /// is read or nothing computed: there is then nothing to hide.
    pub fn overlap_reached(&self, measured_seconds: f64) -> Option<f64> {
        let long = self.compute_seconds.max(self.disk_seconds);
        let short = self.compute_seconds.min(self.disk_seconds);
        (short > 0.0).then(|| 1.0 - (measured_seconds - long) / short)
    }

    /// Tokens per second.
    pub fn tokens_per_second(&self) -> f64 {
        if self.token_seconds > 0.0 { 1.0 / self.token_seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::Bytes;

    const TOKEN: TokenBytes =
        TokenBytes { experts: Bytes(1000), attention: Bytes(300), router: Bytes(100), head: Bytes(600) };

    #[test]
    fn the_shorter_of_computing_and_reading_hides_in_part() {
        let speeds = Speeds { memory: 2000.0, disk: 100.0, read_cpu: 0.0, compute: Some(2.0), threads: 2 };
        let forecast = Forecast::new(&TOKEN, 0.5, speeds, 0.25);
        let disk = 5.0 * (1.0 + WASTED_READS);
        assert_eq!((forecast.read_bytes, forecast.disk_seconds, forecast.memory_seconds), (500.0, disk, 1.0));
        assert_eq!(forecast.token_seconds, disk + 0.75 * 2.0 * BESIDE_MATRICES);
        assert_eq!(forecast.overlap_reached(forecast.token_seconds), Some(0.25));
        let resident = Forecast::new(&TOKEN, 1.0, speeds, 0.25);
        assert_eq!(resident.token_seconds, 2.0 * BESIDE_MATRICES);
        assert_eq!(resident.overlap_reached(2.5), None);
        assert_eq!(resident.tokens_per_second(), 1.0 / resident.token_seconds);
    }

    #[test]
    fn reading_takes_processor_time_from_computing() {
        let speeds = Speeds { memory: 2000.0, disk: 100.0, read_cpu: 0.01, compute: Some(2.0), threads: 5 };
        let reading = 500.0 * (1.0 + WASTED_READS) * 0.01 / 5.0;
        let computing = 2.0 * BESIDE_MATRICES;
        assert_eq!(Forecast::new(&TOKEN, 0.5, speeds, 0.0).compute_seconds, computing + reading);
        assert_eq!(Forecast::new(&TOKEN, 1.0, speeds, 0.0).compute_seconds, computing);
    }

    #[test]
    fn computing_is_not_faster_than_memory() {
        let speeds = Speeds { memory: 1000.0, disk: 1e9, read_cpu: 0.0, compute: None, threads: 1 };
        assert_eq!(Forecast::new(&TOKEN, 1.0, speeds, 0.0).compute_seconds, 2.0 * BESIDE_MATRICES);
        let fast = Speeds { compute: Some(0.1), ..speeds };
        assert_eq!(Forecast::new(&TOKEN, 1.0, fast, 0.0).compute_seconds, 2.0 * BESIDE_MATRICES);
    }
}
