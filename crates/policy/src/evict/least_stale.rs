//! Least stale.

use hotset_base::ExpertKey;

use super::history::History;
use super::{Evict, Retention};

/// Gives up what its layer has not chosen for the most visits; of equals, what its layer needs last: the
/// layers just passed come round again after all others. Made for arenas near one token's cycle, where
/// LRU throws away exactly what is next. After SpecMD (2602.03921).
#[derive(Debug)]
pub struct LeastStale(History);

impl LeastStale {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize) -> Self {
        Self(History::new(layers, experts))
    }
}

impl Evict for LeastStale {
    fn name(&self) -> &'static str {
        "least-stale"
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        self.0.used(key, visit_number);
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        Retention(u64::MAX - self.0.idle(key), u64::MAX - self.0.distance(key))
    }
}
