//! Frequency over recency.

use hotset_base::ExpertKey;

use super::history::History;
use super::{Evict, Retention};

/// Keeps what was chosen often and lately: uses divided by the visits since the last one. A favourite
/// that falls silent loses its place sooner than under LFU, a newcomer gains one later than under LRU.
#[derive(Debug)]
pub struct Lfru(History);

impl Lfru {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize) -> Self {
        Self(History::new(layers, experts))
    }
}

impl Evict for Lfru {
    fn name(&self) -> &'static str {
        "lfru"
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        self.0.used(key, visit_number);
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        let (of, idle) = (self.0.of(key), self.0.idle(key));
        // The bits of positive numbers are in their order.
        Retention((of.count as f64 / (idle + 1) as f64).to_bits(), of.last)
    }
}
