//! Experts whose absence has cost more than reading them: read for later visits while nobody waits.

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_io::Urgency;

use super::{MOST_ADMITTED, Pager};

impl Pager {
    /// Reads an expert of the present visit's layer for later visits, if it deserves a place more than what
    /// would have to leave. Says whether it is there, or on its way, or waits for its read.
    pub fn admit(&mut self, layer: LayerId, expert: ExpertId) -> bool {
        let key = ExpertKey::new(layer, expert);
        match self.note_use(key) {
            Some(slot) => self.worth[slot.index()] = self.evict.retention(key),
            None if self.admitted.len() < MOST_ADMITTED => self.admitted.push(key),
            None => {}
        }
        self.start_reads();
        self.slots.place(key).is_some() || self.admitted.contains(&key)
    }

    pub(super) fn start_admissions(&mut self) {
        while self.failure.is_none() && self.make_room() {
            let Some(&key) = self.admitted.first() else { return };
            if self.slots.place(key).is_none() {
                let slot = self.victim(key.layer, Urgency::Prefetch);
                if slot.is_none() && !self.by_decisions() {
                    return;
                }
                if let Some(slot) = slot.filter(|&slot| self.deserves(key, slot)) {
                    self.prefetching += 1;
                    self.stats.prefetch.started += 1;
                    self.stats.admitted += 1;
                    self.begin(key, slot, Urgency::Prefetch);
                }
            }
            self.admitted.remove(0);
        }
    }
}
