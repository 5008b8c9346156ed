//! How fast threads can read memory: one half of the floor of a token.

use std::time::{Duration, Instant};

use hotset_base::Bytes;

/// Bandwidths are told in this unit per second: 10^9 bytes.
pub const GIGA: f64 = 1e9;
/// Buffer to read: beyond every cache.
const BUFFER: Bytes = Bytes::mib(1024);
/// Below this, caches are measured and not memory.
const SMALLEST: Bytes = Bytes::mib(64);
/// Time spent reading at least.
const TIME: Duration = Duration::from_millis(400);
const PASSES: usize = 5;

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBandwidth {
    /// Bytes per second of the fastest pass: what the machine can do when nobody disturbs it.
    pub best: f64,
    /// The median pass.
    pub median: f64,
    /// Bytes that were read in a pass.
    pub buffer: Bytes,
    /// Threads that read.
    pub threads: usize,
}

impl MemoryBandwidth {
    /// Reads a buffer of 1 GiB, or a quarter of `room` if that is less, with `threads` threads.
    pub fn measure(threads: usize, room: Option<Bytes>) -> Self {
        let quarter = room.map_or(BUFFER, |room| Bytes(room.0 / 4));
        let buffer = BUFFER.min(quarter).max(SMALLEST);
        // Not zero: the kernel backs memory that was never written with one page of zeros.
        let data = vec![1u64; buffer.index() / size_of::<u64>()];
        let (start, mut rates) = (Instant::now(), Vec::new());
        while rates.len() < PASSES || start.elapsed() < TIME {
            rates.push(buffer.0 as f64 / pass(&data, threads).as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        Self { best: rates[rates.len() - 1], median: rates[rates.len() / 2], buffer, threads }
    }
}

/// Every thread sums its share once.
fn pass(data: &[u64], threads: usize) -> Duration {
    let share = data.len().div_ceil(threads.max(1));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in data.chunks(share) {
            let add = move || _ = std::hint::black_box(sum(part));
            if std::thread::Builder::new().spawn_scoped(scope, add).is_err() {
                // The system refuses a thread: this one reads its share.
                add();
            }
        }
    });
    start.elapsed()
}

/// Independent running sums, so that the loop becomes vector loads and additions.
fn sum(data: &[u64]) -> u64 {
    const LANES: usize = 32;
    let mut sums = [0u64; LANES];
    for chunk in data.chunks_exact(LANES) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum ^= value;
        }
    }
    sums.iter().fold(0, |a, b| a ^ b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_has_a_rate() {
        let measured = MemoryBandwidth::measure(2, Some(Bytes::mib(1)));
        assert!(measured.best >= measured.median && measured.median > 0.0);
        assert_eq!(measured.buffer, SMALLEST);
    }
}
