//! Least recently used.

use hotset_base::ExpertKey;

use super::history::History;
use super::{Evict, Retention};

/// Keeps what was chosen last. Hits nothing at all when the arena is smaller than one token's cycle
/// through the layers.
#[derive(Debug)]
pub struct Lru(History);

impl Lru {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize) -> Self {
        Self(History::new(layers, experts))
    }
}

impl Evict for Lru {
    fn name(&self) -> &'static str {
        "lru"
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        self.0.used(key, visit_number);
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        Retention(self.0.of(key).last, 0)
    }

    fn is_steady(&self) -> bool {
        true
    }
}
