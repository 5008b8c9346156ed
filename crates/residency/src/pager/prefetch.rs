//! Reads of what a later layer is predicted to want: started while nobody waits, given up when they prove
//! pointless.

use hotset_base::{ExpertId, ExpertKey, LayerId, RowKind};
use hotset_io::Urgency;

use super::{HALVES, MOST_PREFETCHES, Pager, ticket};
use crate::fill::Fill;
use crate::slots::{SlotId, SlotState};

impl Pager {
    /// Says what a layer behind the visit's will probably want: not evicted if it can be helped, and read
    /// while the disk has nothing more urgent to do.
    pub fn predicted(&mut self, layer: LayerId, experts: &[ExpertId], kind: RowKind) {
        let slots = &self.slots;
        let distance = layer.index() - self.layer.index();
        self.prefetch.note((layer, distance), experts, kind, |key| slots.place(key).is_none());
        match self.by_decisions() {
            true => self.start_certain(),
            false => self.start_reads(),
        }
    }

    /// Prefetches at poorer odds, until told otherwise: for the time after a change, when little of what is
    /// wanted is there.
    pub fn prefetch_eagerly(&mut self, eagerly: bool) {
        self.prefetch.governor.be_eager(eagerly);
    }

    /// Starts as many as the disk can be kept busy with.
    pub(super) fn start_prefetches(&mut self) {
        while self.prefetching < MOST_PREFETCHES && self.failure.is_none() && self.has_room() {
            let Some(i) = self.prefetch.next(|key| self.slots.place(key).is_none()) else { break };
            let key = self.prefetch.entries[i].key;
            let Some(slot) = self.victim(key.layer, Urgency::Prefetch) else { break };
            self.begin_prefetch(i, slot);
        }
    }

    /// Starts all that are nearly certain, now or never: later would depend on what the disk has done by
    /// then.
    pub(super) fn start_certain(&mut self) {
        while self.failure.is_none() {
            let Some(i) = self.prefetch.next_certain(|key| self.slots.place(key).is_none()) else { break };
            let key = self.prefetch.entries[i].key;
            let slot = if self.make_room() { self.victim(key.layer, Urgency::Prefetch) } else { None };
            match slot {
                Some(slot) => self.begin_prefetch(i, slot),
                None => drop(self.prefetch.entries.remove(i)),
            }
        }
    }

    fn begin_prefetch(&mut self, i: usize, slot: SlotId) {
        self.prefetch.entries[i].started = true;
        self.prefetching += 1;
        self.stats.prefetch.started += 1;
        self.begin(self.prefetch.entries[i].key, slot, Urgency::Prefetch);
        self.fills[slot.index()].predicted = true;
    }

    /// Compares the predictions for this layer with what is wanted; takes back reads that have become
    /// pointless, unless it showed in what is held whether the disk had begun with them.
    pub(super) fn forget_predictions(&mut self, layer: LayerId) {
        self.prefetch.arrive(layer, &self.wanted, &mut self.withdrawn);
        while let Some(key) = self.withdrawn.pop() {
            if !self.by_decisions()
                && let Some(slot) = self.slots.place(key)
            {
                self.cancel(key, slot);
            }
        }
    }

    /// Takes back a prefetch that the disk has not begun with; says whether it could.
    fn cancel(&mut self, key: ExpertKey, slot: SlotId) -> bool {
        let Self { slots, fills, reader, arena, stats, prefetching, .. } = self;
        let fill = &mut fills[slot.index()];
        if slots.state(slot) != SlotState::Filling(key) || !fill.prefetch {
            return false;
        }
        let tickets = [ticket(slot, 0), ticket(slot, 1)];
        let back = |ticket, target| arena.take_back(slot, ticket as usize % HALVES, target);
        if !reader.cancel(&tickets[..fill.outstanding], back) {
            return false;
        }
        *fill = Fill::default();
        *prefetching -= 1;
        stats.prefetch.cancelled += 1;
        slots.set(slot, SlotState::Free);
        true
    }

    /// Ends the prefetch into a slot, if there is one: takes it back, or waits for it.
    pub(super) fn vacate(&mut self, slot: SlotId) {
        if let SlotState::Filling(key) = self.slots.state(slot)
            && !self.cancel(key, slot)
        {
            while self.slots.state(slot) == SlotState::Filling(key) {
                self.wait_for_one();
            }
        }
    }
}
