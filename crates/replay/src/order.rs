//! Slots by retention, for policies whose retentions stay between two uses: no search through a large pool.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hotset_policy::evict::Retention;

const NOTHING: Retention = Retention(0, 0);

/// A heap with an entry for every slot in use that is at most the slot's retention: a retention that grows is
/// only noted, and its entry put right when it comes up; one that falls gets a new entry, and the old one is
/// dropped when it comes up. Takes room as slots come into use: a pool may have many more than a trace fills.
#[derive(Debug, Default)]
pub(crate) struct Order {
    heap: BinaryHeap<Reverse<(Retention, u32)>>,
    /// `[slots in use]`: the true retention.
    current: Vec<Retention>,
    /// `[slots in use]`: that of the slot's entry; `None` for one that has none.
    entered: Vec<Option<Retention>>,
    /// Room for entries that are looked at and put back.
    kept: Vec<Reverse<(Retention, u32)>>,
}

impl Order {
    /// A slot's retention is this from now on.
    pub fn set(&mut self, slot: u32, retention: Retention) {
        if slot as usize >= self.current.len() {
            self.current.resize(slot as usize + 1, NOTHING);
            self.entered.resize(slot as usize + 1, None);
        }
        self.current[slot as usize] = retention;
        if self.entered[slot as usize].is_none_or(|entered| retention < entered) {
            self.enter(slot, retention);
        }
    }

    fn enter(&mut self, slot: u32, retention: Retention) {
        self.entered[slot as usize] = Some(retention);
        if self.heap.len() > 4 * self.current.len() + 64 {
            let entered = &self.entered;
            self.heap.retain(|Reverse((retention, slot))| entered[*slot as usize] == Some(*retention));
        }
        self.heap.push(Reverse((retention, slot)));
    }

    /// The slot with the smallest retention of those `may_leave` allows, else of all; and its retention.
    ///
    /// # Panics
    /// If no slot is in use.
    pub fn smallest(&mut self, may_leave: impl Fn(u32) -> bool) -> (Retention, u32) {
        let mut found = None;
        while let Some(Reverse((retention, slot))) = self.heap.pop() {
            if self.entered[slot as usize] != Some(retention) {
                continue;
            }
            let current = self.current[slot as usize];
            if current != retention {
                self.enter(slot, current);
                continue;
            }
            self.kept.push(Reverse((retention, slot)));
            if may_leave(slot) {
                found = Some((retention, slot));
                break;
            }
        }
        let found = found.unwrap_or_else(|| self.kept.first().expect("a slot is in use").0);
        self.heap.extend(self.kept.drain(..));
        found
    }
}
