//! How the arena is divided, and what is in each slot.

use std::ops::Range;

use hotset_base::{Bytes, ExpertKey, LayerId};

use crate::source::ExpertSource;

/// A slot of the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotId(pub u32);

impl SlotId {
    /// As an index into per-slot tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Slots of one size that some layers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Bytes of one slot, a multiple of the alignment of direct reads.
    pub slot_bytes: usize,
    /// Number of slots.
    pub slots: usize,
    /// The layers whose experts may use them.
    pub layers: Vec<LayerId>,
}

/// The division of the arena: every layer belongs to exactly one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaPlan {
    /// In arena order.
    pub partitions: Vec<Partition>,
}

impl ArenaPlan {
    /// One partition for every slot size; each gets the share of `budget` that makes the resident
    /// fraction of all sizes equal. Every partition gets at least one slot, even if the budget is
    /// too small for that: compare [`ArenaPlan::bytes`] with the budget.
    pub fn shared(source: &ExpertSource, budget: Bytes) -> Self {
        let mut partitions = size_classes(source);
        let experts = source.experts_per_layer();
        let all: u64 = partitions.iter().map(|p| full_bytes(p, experts)).sum();
        for partition in &mut partitions {
            let total = partition.layers.len() * experts;
            // In u128: a budget times a size may pass 2^64.
            let share = u128::from(budget.0) * total as u128 / u128::from(all);
            partition.slots = (share as usize).clamp(1, total);
        }
        Self { partitions }
    }

    /// One partition of `slots` slots for every layer: the research setting.
    pub fn per_layer(source: &ExpertSource, slots: usize) -> Self {
        let slots = slots.clamp(1, source.experts_per_layer());
        let layers = (0..source.layers()).map(|i| LayerId(i as u16));
        let partition =
            |layer| Partition { slot_bytes: source.slot_bytes(layer), slots, layers: vec![layer] };
        Self { partitions: layers.map(partition).collect() }
    }

    /// All slots.
    pub fn slots(&self) -> usize {
        self.partitions.iter().map(|p| p.slots).sum()
    }

    /// Memory of the arena.
    pub fn bytes(&self) -> Bytes {
        self.partitions.iter().map(|p| Bytes((p.slots * p.slot_bytes) as u64)).sum()
    }

    /// Slots per layer, on average.
    pub fn experts_per_layer(&self) -> f64 {
        let layers: usize = self.partitions.iter().map(|p| p.layers.len()).sum();
        self.slots() as f64 / layers as f64
    }
}

fn size_classes(source: &ExpertSource) -> Vec<Partition> {
    let mut classes: Vec<Partition> = Vec::new();
    for i in 0..source.layers() {
        let layer = LayerId(i as u16);
        let slot_bytes = source.slot_bytes(layer);
        match classes.iter_mut().find(|class| class.slot_bytes == slot_bytes) {
            Some(class) => class.layers.push(layer),
            None => classes.push(Partition { slot_bytes, slots: 0, layers: vec![layer] }),
        }
    }
    classes
}

/// Arena bytes that all experts of a partition's layers would take.
fn full_bytes(partition: &Partition, experts: usize) -> u64 {
    (partition.layers.len() * experts * partition.slot_bytes) as u64
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Free,
    /// A read into it is in flight.
    Filling(ExpertKey),
    /// Complete and checked.
    Ready(ExpertKey),
    /// Ready, and the present visit is using it.
    Pinned(ExpertKey),
}

/// The state of every slot and the slot of every expert.
pub(crate) struct SlotTable {
    states: Vec<SlotState>,
    /// Slot range of each layer's partition.
    ranges: Vec<Range<usize>>,
    /// Slot of each expert, while `Filling`, `Ready` or `Pinned`.
    places: Vec<Option<SlotId>>,
    /// `[layers * experts]`: ready or pinned.
    hot: Vec<bool>,
    /// `[layers * experts]`: those, and what is being filled.
    held: Vec<bool>,
    /// Slots that are free.
    free: usize,
    experts_per_layer: usize,
}

impl SlotTable {
    pub fn new(plan: &ArenaPlan, layers: usize, experts_per_layer: usize) -> Self {
        let mut ranges = vec![0..0; layers];
        let mut at = 0;
        for partition in &plan.partitions {
            for layer in &partition.layers {
                ranges[layer.index()] = at..at + partition.slots;
            }
            at += partition.slots;
        }
        Self {
            states: vec![SlotState::Free; plan.slots()],
            ranges,
            places: vec![None; layers * experts_per_layer],
            hot: vec![false; layers * experts_per_layer],
            held: vec![false; layers * experts_per_layer],
            free: plan.slots(),
            experts_per_layer,
        }
    }

    pub fn hot(&self, layer: LayerId) -> &[bool] {
        let start = layer.index() * self.experts_per_layer;
        &self.hot[start..start + self.experts_per_layer]
    }

    pub fn held(&self, layer: LayerId) -> &[bool] {
        let start = layer.index() * self.experts_per_layer;
        &self.held[start..start + self.experts_per_layer]
    }

    /// Whether every expert of this layer is held, in a table with a slot for every expert of every layer.
    pub fn is_settled(&self, layer: LayerId) -> bool {
        self.states.len() == self.places.len() && self.held(layer).iter().all(|&held| held)
    }

    /// Slots that experts of this layer may use.
    pub fn range(&self, layer: LayerId) -> Range<usize> {
        self.ranges[layer.index()].clone()
    }

    /// The first free one of them.
    pub fn free(&self, layer: LayerId) -> Option<SlotId> {
        if self.free == 0 {
            return None;
        }
        let is_free = |&slot: &usize| self.states[slot] == SlotState::Free;
        self.range(layer).find(is_free).map(|slot| SlotId(slot as u32))
    }

    pub fn state(&self, slot: SlotId) -> SlotState {
        self.states[slot.index()]
    }

    pub fn place(&self, key: ExpertKey) -> Option<SlotId> {
        self.places[key.flat(self.experts_per_layer)]
    }

    /// Moves a slot to a new state and keeps the three tables in step.
    pub fn set(&mut self, slot: SlotId, state: SlotState) {
        if let SlotState::Filling(old) | SlotState::Ready(old) | SlotState::Pinned(old) =
            self.states[slot.index()]
        {
            let flat = old.flat(self.experts_per_layer);
            self.places[flat] = None;
            self.hot[flat] = false;
            self.held[flat] = false;
        }
        if let SlotState::Filling(key) | SlotState::Ready(key) | SlotState::Pinned(key) = state {
            let flat = key.flat(self.experts_per_layer);
            self.places[flat] = Some(slot);
            self.hot[flat] = !matches!(state, SlotState::Filling(_));
            self.held[flat] = true;
        }
        let before = std::mem::replace(&mut self.states[slot.index()], state);
        self.free += usize::from(state == SlotState::Free);
        self.free -= usize::from(before == SlotState::Free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(slots: usize) -> SlotTable {
        let layers = vec![LayerId(0), LayerId(1)];
        SlotTable::new(&ArenaPlan { partitions: vec![Partition { slot_bytes: 4096, slots, layers }] }, 2, 2)
    }

    fn fill(table: &mut SlotTable, slot: u32, layer: u16, expert: u16) {
        let key = ExpertKey::new(LayerId(layer), hotset_base::ExpertId(expert));
        table.set(SlotId(slot), SlotState::Filling(key));
    }

    #[test]
    fn a_layer_is_settled_when_all_of_it_is_held_and_nothing_has_to_leave() {
        let mut roomy = table(4);
        fill(&mut roomy, 0, 1, 0);
        assert!(!roomy.is_settled(LayerId(1)), "an expert is missing");
        fill(&mut roomy, 1, 1, 1);
        assert!(roomy.is_settled(LayerId(1)));
        assert!(!roomy.is_settled(LayerId(0)));
        let mut tight = table(3);
        (0..2).for_each(|i| fill(&mut tight, i, 1, i as u16));
        assert!(!tight.is_settled(LayerId(1)), "the other layer may take its slots");
    }
}
