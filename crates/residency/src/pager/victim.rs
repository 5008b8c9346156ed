//! Which slot is overwritten next, by what the eviction policy says of the expert in each.

use std::ops::Range;

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_io::Urgency;
use hotset_policy::evict::Retention;

use super::Pager;
use crate::slots::{SlotId, SlotState};

impl Pager {
    /// The slot to overwrite next: a free one, else the ready one worth least; what is predicted, and last
    /// what this visit wants, only for a demand that finds nothing else. `None` when there is none.
    ///
    /// A search through all slots, some thousands, several times a layer: it goes through one table, and
    /// looks at a slot only if that is worth less than the best found.
    pub(super) fn victim(&mut self, layer: LayerId, urgency: Urgency) -> Option<SlotId> {
        let free = self.slots.free(layer);
        if free.is_some() {
            return free;
        }
        let range = self.slots.range(layer);
        if !self.evict.is_steady() {
            self.ask_for_worth(range.clone());
        }
        // By protection: of no account, predicted, wanted.
        let mut best: [Option<(Retention, usize)>; 3] = [None; 3];
        let mut busy = false;
        for (slot, &worth) in range.clone().zip(&self.worth[range]) {
            if best[0].is_some_and(|(least, _)| least <= worth) {
                continue;
            }
            let Some(key) = self.replaceable(SlotId(slot as u32)) else {
                busy = true;
                continue;
            };
            let best = &mut best[self.protection(key)];
            if best.is_none_or(|(least, _)| worth < least) {
                *best = Some((worth, slot));
            }
        }
        let [unprotected, predicted, wanted] = best;
        // Which of the visit's experts is done with first is the disk's to say: all are waited for.
        let wanted = wanted.filter(|_| !(self.by_decisions() && busy));
        let found = match urgency {
            Urgency::Demand => unprotected.or(predicted).or(wanted),
            Urgency::Prefetch => unprotected,
        };
        found.map(|(_, slot)| SlotId(slot as u32))
    }

    fn ask_for_worth(&mut self, slots: Range<usize>) {
        for slot in slots {
            if let Some(key) = self.replaceable(SlotId(slot as u32)) {
                self.worth[slot] = self.evict.retention(key);
            }
        }
    }

    /// 0: may leave; 1: predicted for a later layer; 2: wanted by this visit.
    fn protection(&self, key: ExpertKey) -> usize {
        if self.is_wanted(key) { 2 } else { usize::from(self.prefetch.protects(key)) }
    }

    pub(super) fn is_wanted(&self, key: ExpertKey) -> bool {
        key.layer == self.layer && self.wanted[key.expert.index()]
    }

    /// The expert that may have to leave the slot: a ready one, or, where the speed of the disk must not tell
    /// these apart, one prefetched.
    pub(super) fn replaceable(&self, slot: SlotId) -> Option<ExpertKey> {
        match self.slots.state(slot) {
            SlotState::Ready(key) => Some(key),
            SlotState::Filling(key) if self.by_decisions() && self.fills[slot.index()].prefetch => Some(key),
            _ => None,
        }
    }

    /// Tells the eviction policy of a use; gives the expert's slot, if it has one.
    pub(super) fn note_use(&mut self, key: ExpertKey) -> Option<SlotId> {
        self.evict.used(key, self.visit_number);
        self.slots.place(key)
    }

    /// Asks what the experts of a layer are worth, now that it is visited: those of its visit before are
    /// worth less to some policies.
    pub(super) fn weigh(&mut self, layer: LayerId) {
        let experts = (0..self.wanted.len() as u16).map(|expert| ExpertKey::new(layer, ExpertId(expert)));
        for key in experts {
            if let Some(slot) = self.slots.place(key) {
                self.worth[slot.index()] = self.evict.retention(key);
            }
        }
    }

    /// The expert is worth more than what would have to leave the slot.
    pub(super) fn deserves(&self, key: ExpertKey, slot: SlotId) -> bool {
        let worth = |key| self.evict.retention(key);
        self.replaceable(slot).is_none_or(|old| worth(old) < worth(key))
    }
}
