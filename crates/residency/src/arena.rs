//! One contiguous anonymous mapping, cut into slots that are overwritten in place.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use hotset_base::Bytes;
use hotset_io::{ALIGN, BufferRange, ReadTarget};

use crate::memory::Mapping;
use crate::source::HALVES;
use crate::{ArenaPlan, SlotId};

/// The kernel takes buffers of at most this length.
const MAX_BUFFER: usize = 1 << 30;

/// A slot's place in the mapping.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    bytes: usize,
    /// Where the second half begins; set when the slot is lent.
    split: usize,
    /// A [`ReadTarget`] for the half exists: nobody may look at its bytes.
    lent: [bool; HALVES],
}

impl Place {
    fn half(&self, half: usize) -> Range<usize> {
        if half == 0 { 0..self.split } else { self.split..self.bytes }
    }
}

/// All slots of all sizes.
pub struct Arena {
    /// Shared with the reads in flight, so that it outlives them.
    mapping: Arc<Mapping>,
    places: Vec<Place>,
}

impl Arena {
    /// Maps the memory of a plan.
    pub fn new(plan: &ArenaPlan) -> io::Result<Self> {
        let mut places = Vec::with_capacity(plan.slots());
        let mut at = 0;
        for partition in &plan.partitions {
            assert!(partition.slot_bytes.is_multiple_of(ALIGN), "slots begin where direct reads may");
            for _ in 0..partition.slots {
                let bytes = partition.slot_bytes;
                places.push(Place { at, bytes, split: bytes, lent: [false; HALVES] });
                at += bytes;
            }
        }
        Ok(Self { mapping: Arc::new(Mapping::new(at)?), places })
    }

    /// Takes all of the memory now; `progress` is told the bytes as they come.
    pub(crate) fn populate(&self, progress: &mut dyn FnMut(Bytes)) -> io::Result<()> {
        self.mapping.populate(progress)
    }

    /// The memory as stretches that no slot crosses, each short enough to be registered with the kernel.
    pub(crate) fn buffers(&self) -> Vec<BufferRange> {
        let mut stretches: Vec<Range<usize>> = Vec::new();
        for place in &self.places {
            let end = place.at + place.bytes;
            match stretches.last_mut() {
                Some(last) if end - last.start <= MAX_BUFFER => last.end = end,
                _ => stretches.push(place.at..end),
            }
        }
        let buffer = |stretch: Range<usize>| {
            let owner = Arc::clone(&self.mapping) as Arc<_>;
            // SAFETY: the stretch lies inside the mapping (built in `new`), which `owner` keeps.
            unsafe { BufferRange::new(self.mapping.start().add(stretch.start), stretch.len(), owner) }
        };
        stretches.into_iter().map(buffer).collect()
    }

    /// Bytes of a slot.
    ///
    /// # Panics
    /// If one of the halves they lie in is being filled: the pager's bookkeeping is wrong.
    pub fn bytes(&self, slot: SlotId, range: Range<usize>) -> &[u8] {
        let place = self.places[slot.index()];
        assert!(range.start <= range.end && range.end <= place.bytes, "a part lies in its slot");
        let meets = |half: Range<usize>| range.start < half.end && half.start < range.end;
        let readable = (0..HALVES).all(|half| !(place.lent[half] && meets(place.half(half))));
        assert!(readable, "what is being filled is not readable");
        // SAFETY: the range lies inside the slot and the slot inside the mapping (built in `new`), the
        // memory is initialised (anonymous pages are zero), and no `ReadTarget` for it exists. One can
        // only be made by `lend`, which needs `&mut self` and so ends this borrow first.
        unsafe { std::slice::from_raw_parts(self.mapping.start().add(place.at + range.start), range.len()) }
    }

    /// Says where the halves of a slot meet.
    ///
    /// # Panics
    /// If a half is lent.
    pub fn divide(&mut self, slot: SlotId, split: usize) {
        let place = &mut self.places[slot.index()];
        assert!(
            place.lent == [false; HALVES] && split <= place.bytes,
            "a slot is divided while nobody reads"
        );
        place.split = split;
    }

    /// Hands a half of a slot to a read.
    ///
    /// # Panics
    /// If it is already lent.
    pub fn lend(&mut self, slot: SlotId, half: usize) -> ReadTarget {
        let place = &mut self.places[slot.index()];
        assert!(!place.lent[half], "a half has one reader at a time");
        place.lent[half] = true;
        let (owner, range) = (Arc::clone(&self.mapping), place.half(half));
        // SAFETY: the half lies inside the mapping, which `owner` keeps; `lent` keeps everybody else off
        // the range until `take_back`, halves and slots do not overlap, and `divide` refuses to move the
        // border meanwhile.
        unsafe { ReadTarget::new(self.mapping.start().add(place.at + range.start), range.len(), owner) }
    }

    /// Takes a half's memory back.
    ///
    /// # Panics
    /// If `target` is not the half's memory.
    pub fn take_back(&mut self, slot: SlotId, half: usize, mut target: ReadTarget) {
        let place = &mut self.places[slot.index()];
        let start = self.mapping.start().wrapping_add(place.at + place.half(half).start);
        let own = place.lent[half] && target.as_mut_slice().as_mut_ptr() == start;
        assert!(own, "a slot gets its own memory back");
        place.lent[half] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    fn arena() -> Arena {
        let partition = |slot_bytes, slots| Partition { slot_bytes, slots, layers: Vec::new() };
        Arena::new(&ArenaPlan { partitions: vec![partition(ALIGN, 2), partition(2 * ALIGN, 1)] }).unwrap()
    }

    #[test]
    fn slots_and_halves_are_disjoint_and_aligned() {
        let mut arena = arena();
        arena.divide(SlotId(2), ALIGN);
        let halves = [(0, 0), (1, 0), (2, 0), (2, 1)].map(|(slot, half)| (SlotId(slot), half));
        for (fill, (slot, half)) in halves.into_iter().enumerate() {
            let mut target = arena.lend(slot, half);
            assert_eq!(target.as_mut_slice().as_ptr() as usize % ALIGN, 0);
            assert_eq!(target.as_mut_slice().len(), ALIGN);
            target.as_mut_slice().fill(fill as u8);
            arena.take_back(slot, half, target);
        }
        for (fill, (slot, half)) in halves.into_iter().enumerate() {
            let bytes = arena.bytes(slot, half * ALIGN..(half + 1) * ALIGN);
            assert!(bytes.iter().all(|&b| b == fill as u8));
        }
    }

    #[test]
    fn memory_outlives_the_arena_while_a_read_holds_it() {
        let mut arena = arena();
        let mut target = arena.lend(SlotId(2), 0);
        drop(arena);
        target.as_mut_slice().fill(1);
    }

    #[test]
    fn one_half_is_readable_while_the_other_is_filled() {
        let mut arena = arena();
        arena.divide(SlotId(2), ALIGN);
        let _down = arena.lend(SlotId(2), 1);
        assert_eq!(arena.bytes(SlotId(2), 0..ALIGN).len(), ALIGN);
    }

    #[test]
    #[should_panic(expected = "not readable")]
    fn a_lent_half_cannot_be_read() {
        let mut arena = arena();
        arena.divide(SlotId(2), ALIGN);
        let _down = arena.lend(SlotId(2), 1);
        arena.bytes(SlotId(2), 100..ALIGN + 1);
    }

    #[test]
    #[should_panic(expected = "its own memory")]
    fn a_slot_takes_back_only_its_own_memory() {
        let mut arena = arena();
        let first = arena.lend(SlotId(0), 0);
        let _second = arena.lend(SlotId(1), 0);
        arena.take_back(SlotId(1), 0, first);
    }

    #[test]
    fn no_slot_crosses_a_buffer() {
        let partition = |slot_bytes, slots| Partition { slot_bytes, slots, layers: Vec::new() };
        // Mapped and never touched: this takes address space, no memory.
        let plan = ArenaPlan { partitions: vec![partition(700 << 20, 3), partition(300 << 20, 3)] };
        assert_eq!(Arena::new(&plan).unwrap().buffers().len(), 4);
    }
}
