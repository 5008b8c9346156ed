//! A target that brings its own memory: for measuring a disk, where nobody wants the bytes.

use std::sync::Arc;

use crate::ReadTarget;

/// Alignment that direct reads ask for.
const PAGE: usize = 4096;

impl ReadTarget {
    /// Zeroed memory of `bytes` bytes from the start of a page; it lives as long as the target.
    pub fn allocate(bytes: usize) -> Self {
        let mut memory = vec![0u8; bytes + PAGE];
        let start = memory.as_mut_ptr();
        let skip = start.align_offset(PAGE).min(PAGE);
        // SAFETY: `skip + bytes` is inside the vector, which is zeroed, is moved into the target (its
        // memory stays where it is) and is reached in no other way.
        unsafe { Self::new(start.add(skip), bytes, Arc::new(memory)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocated_targets_start_at_a_page() {
        let mut target = ReadTarget::allocate(5000);
        let memory = target.as_mut_slice();
        assert_eq!((memory.len(), memory.as_ptr().align_offset(PAGE)), (5000, 0));
        memory.fill(1);
    }
}
