//! Least frequently used.

use hotset_base::ExpertKey;

use super::{Evict, Retention};

/// Keeps what was chosen most often since the engine opened; of equals, what was chosen last.
#[derive(Debug)]
pub struct Lfu {
    experts: usize,
    uses: Vec<Retention>,
}

impl Lfu {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize) -> Self {
        Self { experts, uses: vec![Retention(0, 0); layers * experts] }
    }
}

impl Evict for Lfu {
    fn name(&self) -> &'static str {
        "lfu"
    }

    fn used(&mut self, key: ExpertKey, now: u64) {
        let entry = &mut self.uses[key.flat(self.experts)];
        *entry = Retention(entry.0 + 1, now);
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        self.uses[key.flat(self.experts)]
    }
}
