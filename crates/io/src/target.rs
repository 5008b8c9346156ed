//! Memory that a read fills.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// Exclusive use of a range of memory until the read's completion gives it back.
///
/// Keeps the memory's owner alive, so that a read still in flight when an engine is torn down
/// writes into memory that exists.
pub struct ReadTarget {
    start: *mut u8,
    bytes: usize,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: a target is the only way to reach its range while it exists (the contract of `new`), so
// moving it to another thread moves exclusive access with it.
unsafe impl Send for ReadTarget {}

impl ReadTarget {
    /// Wraps `bytes` bytes from `start`, which `owner` keeps mapped.
    ///
    /// # Safety
    /// The range must be valid for reads and writes as long as `owner` lives, initialised, and
    /// nothing else may access it until the target is dropped.
    pub unsafe fn new(start: *mut u8, bytes: usize, owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self { start, bytes, _owner: owner }
    }

    /// Where a part of the memory is, for a kernel that fills it: no reference to bytes that may change meanwhile.
    ///
    /// # Panics
    /// If the part does not lie in the target.
    pub(crate) fn address_of(&self, part: &Range<usize>) -> *mut u8 {
        assert!(part.start <= part.end && part.end <= self.bytes, "{part:?} of {} bytes", self.bytes);
        // `wrapping_add` stays within the range that was just checked.
        self.start.wrapping_add(part.start)
    }

    /// A part of the memory, while the rest may be at the kernel.
    ///
    /// # Safety
    /// No read into this part may be at the kernel.
    ///
    /// # Panics
    /// As [`ReadTarget::address_of`].
    pub(crate) unsafe fn part(&mut self, part: Range<usize>) -> &mut [u8] {
        let start = self.address_of(&part);
        // SAFETY: by the contract of `new` the range is valid, initialised and ours alone, and by that of this
        // function the kernel has left the part.
        unsafe { std::slice::from_raw_parts_mut(start, part.len()) }
    }

    /// The memory to fill, when no read into it is at the kernel.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: by the contract of `new` the range is valid, initialised and ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

/// A stretch of memory that read targets will lie in, each in one stretch entirely. Told to the kernel
/// beforehand, so that it need not look up and pin the pages of every read.
#[derive(Clone)]
pub struct BufferRange {
    start: *mut u8,
    bytes: usize,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the range is only compared and passed to the kernel by address; access goes through targets.
unsafe impl Send for BufferRange {}

impl BufferRange {
    /// Names `bytes` bytes from `start`.
    ///
    /// # Safety
    /// They must stay mapped as long as `owner` lives.
    pub unsafe fn new(start: *mut u8, bytes: usize, owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self { start, bytes, _owner: owner }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn holds(&self, start: *mut u8, bytes: usize) -> bool {
        let offset = (start as usize).wrapping_sub(self.start as usize);
        offset < self.bytes && bytes <= self.bytes - offset
    }
}

#[cfg(test)]
mod tests {
    use crate::allocate_targets;

    #[test]
    fn a_part_is_of_the_target_and_nothing_beyond_it() {
        let (mut targets, _) = allocate_targets(2, 4096);
        let first = &mut targets[0];
        // SAFETY: no read is at the kernel.
        unsafe { first.part(1024..2048) }.fill(7);
        assert_eq!(first.as_mut_slice().iter().filter(|&&byte| byte == 7).count(), 1024);
        let start = first.as_mut_slice().as_mut_ptr();
        assert_eq!(first.address_of(&(4096..4096)) as usize, start as usize + 4096);
        for beyond in [4095..4097, 5000..5001, 0..8192] {
            let asked = std::panic::AssertUnwindSafe(|| first.address_of(&beyond));
            assert!(std::panic::catch_unwind(asked).is_err(), "{beyond:?}");
        }
    }
}
