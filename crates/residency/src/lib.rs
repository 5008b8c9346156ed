//! Memory, and which experts are in it: the arena they live in and the pager that fills it.
//!
//! Owns the memory of arena, dense weights and KV caches, the state of every slot, and the rule that a slot
//! is ready only after its bytes are complete and their checksum matched. It must never choose what a token
//! uses (the routing policy does), compute with weights, or allocate after the pager is open.

mod allocator;
mod arena;
mod error;
mod fill;
mod join;
mod memory;
mod pager;
mod prefetch;
#[cfg(feature = "noop-paging")]
mod resident;
mod slots;
mod source;

pub use allocator::Allocator;
pub use arena::Arena;
pub use error::PagerError;
pub use memory::Block;
#[cfg(not(feature = "noop-paging"))]
pub use pager::Pager;
pub use pager::{Arrived, PagerOptions, Timing};
pub use slots::{ArenaPlan, Partition, SlotId};
pub use source::{ExpertSource, PARTS};
#[cfg(feature = "noop-paging")]
pub use {pager::Pager as ReadingPager, resident::Resident as Pager};
