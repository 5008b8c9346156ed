//! A visit of one layer: experts are requested, taken as they become ready, and released.

use hotset_base::{ExpertId, ExpertKey, LayerId};

use super::{HALVES, Pager, ticket};
use crate::PagerError;
use crate::slots::{SlotId, SlotState};

/// How far an expert of the present visit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not in the arena, no read started.
    Absent,
    /// Being read.
    Reading,
    /// The same, and the caller has had gate and up.
    HalfTaken,
    /// Given to the caller, or already released by it.
    Taken,
}

/// What has become ready of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The expert.
    pub expert: ExpertId,
    /// Gate and up are ready and have not been given before.
    pub gate_up: bool,
    /// Down is ready.
    pub down: bool,
}

impl Pager {
    /// Starts a visit: pins what is hot of `experts` and starts reading the rest.
    ///
    /// `experts` must not repeat. A visit that was not taken to its end is closed first.
    pub fn request(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.close();
        self.layer = layer;
        self.visit_number += 1;
        experts.iter().for_each(|expert| self.wanted[expert.index()] = true);
        self.forget_predictions(layer);
        for &expert in experts {
            let key = ExpertKey::new(layer, expert);
            let stage = match self.note_use(key) {
                Some(slot) => self.claim(key, slot),
                None => Stage::Absent,
            };
            self.wants.push((expert, stage));
        }
        self.weigh(layer);
        self.start_reads();
    }

    /// Appends what has become ready to `out`, waiting until there is something. Nothing is appended when
    /// all of the visit's experts have been taken.
    ///
    /// Each stays in its slot until [`Pager::release`]. After an error the visit is over.
    ///
    /// # Panics
    /// If the arena is too small for what the caller keeps: it must release before it takes more.
    pub fn take_arrived(&mut self, out: &mut Vec<Arrived>) -> Result<(), PagerError> {
        self.poll();
        self.start_reads();
        while self.failure.is_none() && !self.hand_over(out) && self.is_open() {
            assert!(self.reader.in_flight() > 0, "released experts leave slots to read into");
            self.wait_for_one();
            self.start_reads();
        }
        match self.failure.take() {
            Some(failure) => {
                self.close();
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Gate and up of an expert that was taken and not released.
    ///
    /// # Panics
    /// If it was not: the caller's bookkeeping is wrong.
    pub fn gate_up(&self, expert: ExpertId) -> [&[u8]; 2] {
        let (key, slot) = self.taken(expert);
        let checked = match self.slots.state(slot) {
            SlotState::Filling(_) => self.fills[slot.index()].first_half_checked(),
            state => state == SlotState::Pinned(key),
        };
        assert!(checked, "gate and up are taken when they are ready");
        [0, 1].map(|part| self.part(key, slot, part))
    }

    /// Down of an expert that was taken and not released.
    ///
    /// # Panics
    /// If it was not, or down was not ready.
    pub fn down(&self, expert: ExpertId) -> &[u8] {
        let (key, slot) = self.taken(expert);
        assert_eq!(self.slots.state(slot), SlotState::Pinned(key), "down is taken when it is ready");
        self.part(key, slot, 2)
    }

    /// Gives up taken experts: their slots may be overwritten from now on.
    pub fn release(&mut self, experts: impl IntoIterator<Item = ExpertId>) {
        for expert in experts {
            let key = ExpertKey::new(self.layer, expert);
            if let Some(slot) = self.slots.place(key)
                && self.slots.state(slot) == SlotState::Pinned(key)
            {
                self.slots.set(slot, SlotState::Ready(key));
            }
        }
    }

    /// The visit wants an expert that has a slot already.
    fn claim(&mut self, key: ExpertKey, slot: SlotId) -> Stage {
        let fill = &mut self.fills[slot.index()];
        if let SlotState::Filling(_) = self.slots.state(slot) {
            if fill.prefetch {
                fill.prefetch = false;
                self.prefetching -= 1;
                self.stats.prefetch.late += 1;
                if fill.predicted {
                    self.prefetch.governor.saved(fill.age_us().min(self.prefetch.service_us));
                }
                (0..HALVES).for_each(|half| self.reader.hurry(ticket(slot, half)));
            }
            return Stage::Reading;
        }
        if std::mem::take(&mut fill.unused) {
            self.stats.prefetch.used += 1;
            if fill.predicted {
                self.prefetch.governor.saved(self.prefetch.service_us);
            }
        }
        self.slots.set(slot, SlotState::Pinned(key));
        Stage::Reading
    }

    /// Some expert of the visit has not been taken whole.
    fn is_open(&self) -> bool {
        self.wants.iter().any(|(_, stage)| *stage != Stage::Taken)
    }

    /// Appends what the caller has not had yet; says whether there was something.
    fn hand_over(&mut self, out: &mut Vec<Arrived>) -> bool {
        let before = out.len();
        for (expert, stage) in &mut self.wants {
            if !matches!(stage, Stage::Reading | Stage::HalfTaken) {
                continue;
            }
            let key = ExpertKey::new(self.layer, *expert);
            let slot = self.slots.place(key).expect("an expert that is read has a slot");
            let complete = self.slots.state(slot) == SlotState::Pinned(key);
            let gate_up = *stage == Stage::Reading;
            if complete || (gate_up && self.fills[slot.index()].first_half_checked()) {
                *stage = if complete { Stage::Taken } else { Stage::HalfTaken };
                out.push(Arrived { expert: *expert, gate_up, down: complete });
            }
        }
        out.len() > before
    }

    fn taken(&self, expert: ExpertId) -> (ExpertKey, SlotId) {
        let key = ExpertKey::new(self.layer, expert);
        (key, self.slots.place(key).expect("a taken expert has a slot"))
    }

    fn part(&self, key: ExpertKey, slot: SlotId, part: usize) -> &[u8] {
        let (at, bytes) = self.source.layout(key).parts[part];
        self.arena.bytes(slot, at..at + bytes)
    }

    /// Ends the visit: waits for its reads, unpins its experts, forgets its failure.
    pub(super) fn close(&mut self) {
        for i in 0..self.wants.len() {
            let key = ExpertKey::new(self.layer, self.wants[i].0);
            while self.slots.place(key).is_some_and(|slot| self.slots.state(slot) == SlotState::Filling(key))
            {
                self.wait_for_one();
            }
        }
        for i in 0..self.wants.len() {
            let expert = self.wants[i].0;
            self.release([expert]);
            self.wanted[expert.index()] = false;
        }
        self.wants.clear();
        self.failure = None;
    }
}
