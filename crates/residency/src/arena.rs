//! One contiguous anonymous mapping, cut into slots that are overwritten in place.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use hotset_io::ReadTarget;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::{ArenaPlan, SlotId};

/// Alignment of slots: the unit of direct reads.
pub(crate) const PAGE: usize = 4096;

/// The memory itself. Shared with the reads in flight, so that it outlives them.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory; who may touch which range is the arena's bookkeeping.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        // Zero bytes cannot be mapped; one page stands in for an arena without slots.
        let bytes = bytes.max(PAGE);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address the kernel chooses aliases nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped; every user holds the `Arc` around us.
        // A failure to unmap leaves the memory where it is, which harms nobody.
        let _ = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), self.bytes) };
    }
}

/// A slot's place in the mapping.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    bytes: usize,
    /// A [`ReadTarget`] for the slot exists: nobody may look at its bytes.
    lent: bool,
}

/// All slots of all sizes.
pub struct Arena {
    mapping: Arc<Mapping>,
    places: Vec<Place>,
}

impl Arena {
    /// Maps the memory of a plan. Pages are touched only when a slot is first filled.
    pub fn new(plan: &ArenaPlan) -> io::Result<Self> {
        let mut places = Vec::with_capacity(plan.slots());
        let mut at = 0;
        for partition in &plan.partitions {
            for _ in 0..partition.slots {
                places.push(Place { at, bytes: partition.slot_bytes, lent: false });
                at += partition.slot_bytes.next_multiple_of(PAGE);
            }
        }
        Ok(Self { mapping: Arc::new(Mapping::new(at)?), places })
    }

    /// The bytes of a slot.
    ///
    /// # Panics
    /// If the slot is being filled: the pager's bookkeeping is wrong.
    pub fn bytes(&self, slot: SlotId) -> &[u8] {
        let place = self.places[slot.index()];
        assert!(!place.lent, "a slot that is being filled is not readable");
        // SAFETY: the place lies inside the mapping (built in `new`), the memory is initialised
        // (anonymous pages are zero), and no `ReadTarget` for it exists. One can only be made by
        // `lend`, which needs `&mut self` and so ends this borrow first.
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(place.at), place.bytes) }
    }

    /// Hands a slot's memory to a read.
    ///
    /// # Panics
    /// If it is already lent.
    pub fn lend(&mut self, slot: SlotId) -> ReadTarget {
        let place = &mut self.places[slot.index()];
        assert!(!place.lent, "a slot has one reader at a time");
        place.lent = true;
        let owner = Arc::clone(&self.mapping);
        // SAFETY: the place lies inside the mapping, which `owner` keeps; `lent` keeps everybody
        // else off the range until `take_back`, and slots do not overlap.
        unsafe { ReadTarget::new(self.mapping.start.as_ptr().add(place.at), place.bytes, owner) }
    }

    /// Takes a slot's memory back.
    ///
    /// # Panics
    /// If `target` is not the slot's memory.
    pub fn take_back(&mut self, slot: SlotId, mut target: ReadTarget) {
        let place = &mut self.places[slot.index()];
        let start = self.mapping.start.as_ptr().wrapping_add(place.at);
        assert!(place.lent && target.as_mut_slice().as_mut_ptr() == start, "a slot gets its own memory back");
        place.lent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    fn arena() -> Arena {
        let partition = |slot_bytes, slots| Partition { slot_bytes, slots, layers: Vec::new() };
        Arena::new(&ArenaPlan { partitions: vec![partition(100, 2), partition(5000, 1)] }).unwrap()
    }

    #[test]
    fn slots_are_disjoint_and_aligned() {
        let mut arena = arena();
        for (i, fill) in [7u8, 8, 9].into_iter().enumerate() {
            let mut target = arena.lend(SlotId(i as u32));
            assert_eq!(target.as_mut_slice().as_ptr() as usize % PAGE, 0);
            target.as_mut_slice().fill(fill);
            arena.take_back(SlotId(i as u32), target);
        }
        for (i, fill) in [7u8, 8, 9].into_iter().enumerate() {
            assert!(arena.bytes(SlotId(i as u32)).iter().all(|&b| b == fill));
        }
    }

    #[test]
    fn memory_outlives_the_arena_while_a_read_holds_it() {
        let mut arena = arena();
        let mut target = arena.lend(SlotId(2));
        drop(arena);
        target.as_mut_slice().fill(1);
    }

    #[test]
    #[should_panic(expected = "not readable")]
    fn a_lent_slot_cannot_be_read() {
        let mut arena = arena();
        let _target = arena.lend(SlotId(0));
        arena.bytes(SlotId(0));
    }

    #[test]
    #[should_panic(expected = "its own memory")]
    fn a_slot_takes_back_only_its_own_memory() {
        let mut arena = arena();
        let first = arena.lend(SlotId(0));
        let _second = arena.lend(SlotId(1));
        arena.take_back(SlotId(1), first);
    }
}
