//! Slots by retention, for policies whose retentions stay between two uses: no search through the pool.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hotset_policy::evict::Retention;

/// A heap with one true entry for every slot in use, and outdated ones that are dropped when they come up.
#[derive(Debug, Default)]
pub(crate) struct Order {
    heap: BinaryHeap<Reverse<(Retention, u32)>>,
    /// `[slots]`: the true retention.
    current: Vec<Option<Retention>>,
}

impl Order {
    pub fn new(slots: usize) -> Self {
        Self { heap: BinaryHeap::new(), current: vec![None; slots] }
    }

    /// A slot's retention is this from now on.
    pub fn set(&mut self, slot: u32, retention: Retention) {
        self.current[slot as usize] = Some(retention);
        self.heap.push(Reverse((retention, slot)));
        if self.heap.len() > 4 * self.current.len() + 64 {
            let current = &self.current;
            self.heap.retain(|Reverse((retention, slot))| current[*slot as usize] == Some(*retention));
        }
    }

    /// The slot with the smallest retention of those `may_leave` allows, else of all; and its retention.
    ///
    /// # Panics
    /// If no slot is in use.
    pub fn smallest(&mut self, may_leave: impl Fn(u32) -> bool) -> (Retention, u32) {
        let mut kept: Vec<Reverse<(Retention, u32)>> = Vec::new();
        let mut found = None;
        while let Some(Reverse(entry)) = self.heap.pop() {
            if self.current[entry.1 as usize] != Some(entry.0) {
                continue;
            }
            kept.push(Reverse(entry));
            if may_leave(entry.1) {
                found = Some(entry);
                break;
            }
        }
        let found = found.unwrap_or_else(|| kept.first().expect("a slot is in use").0);
        self.heap.extend(kept);
        found
    }
}
