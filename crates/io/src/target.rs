//! Memory that a read fills.

use std::any::Any;
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

    /// The memory to fill.
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
