//! The hot set of a context that is known again: read before it is asked for, after everything that is.

use hotset_base::ExpertKey;
use hotset_io::Urgency;

use super::{MOST_PREFETCHES, Pager};
use crate::slots::{SlotId, SlotState};

impl Pager {
    /// A context is known again: `experts` are all of the model with their uses in it, most used first.
    ///
    /// From now on experts are worth what they are worth there, and those worth a slot are read while the
    /// disk has nothing to do that somebody waits for. Earlier ones not begun yet are forgotten.
    pub fn preload(&mut self, experts: &[(ExpertKey, f32)]) {
        if self.by_decisions() {
            self.drain();
        }
        for &(key, uses) in experts.iter().rev() {
            self.evict.preload(key, uses, self.visit_number);
        }
        for (slot, worth) in self.worth.iter_mut().enumerate() {
            let state = self.slots.state(SlotId(slot as u32));
            if let SlotState::Filling(key) | SlotState::Ready(key) | SlotState::Pinned(key) = state {
                *worth = self.evict.retention(key);
            }
        }
        self.next_preload = 0;
        self.preload.clear();
        self.preloaded_into.fill(0);
        for &(key, _) in experts.iter().filter(|(_, uses)| *uses > 0.0) {
            // Layers with slots of their own have a hot set of their own.
            let range = self.slots.range(key.layer);
            let taken = &mut self.preloaded_into[range.start];
            if *taken < range.len() as u32 {
                *taken += 1;
                self.preload.push(key);
            }
        }
        self.start_reads();
    }

    /// Waits until a hot set that is preloaded is there: what is hot then depends on nothing but decisions,
    /// whatever the speed of the disk.
    pub fn wait_for_preloaded(&mut self) {
        loop {
            // A batch at a time: which slots may be overwritten must not depend on which reads are done.
            self.drain();
            self.start_preloads();
            if self.reader.in_flight() == 0 {
                break;
            }
        }
        // What found no slot now is not read later: when would depend on the disk.
        self.next_preload = self.preload.len();
    }

    /// Starts as many preloads as the prefetches under way leave room for.
    pub(super) fn start_preloads(&mut self) {
        while self.prefetching < MOST_PREFETCHES && self.failure.is_none() && self.has_room() {
            let Some(&key) = self.preload.get(self.next_preload) else { return };
            if self.slots.place(key).is_none() {
                let Some(slot) = self.victim(key.layer, Urgency::Prefetch) else { return };
                if self.deserves(key, slot) {
                    self.prefetching += 1;
                    self.stats.prefetch.started += 1;
                    self.stats.preloaded += 1;
                    self.begin(key, slot, Urgency::Prefetch);
                }
            }
            self.next_preload += 1;
        }
    }

    /// Waits for all reads in flight.
    pub(super) fn drain(&mut self) {
        while self.reader.in_flight() > 0 {
            self.wait_for_one();
        }
    }
}
