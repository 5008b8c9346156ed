//! Targets that bring their own memory: for measuring a disk, where nobody wants the bytes.

use std::sync::Arc;

use crate::{ALIGN, BufferRange, ReadTarget};

/// `count` targets of `bytes` zero bytes each, and the memory they share, to be registered. Each starts where
/// direct reads may; the memory lives as long as one of them.
pub fn allocate_targets(count: usize, bytes: usize) -> (Vec<ReadTarget>, BufferRange) {
    let stride = bytes.next_multiple_of(ALIGN);
    let mut memory = vec![0u8; count * stride + ALIGN];
    let skip = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
    let start = memory.as_mut_ptr().wrapping_add(skip);
    let owner: Arc<Vec<u8>> = Arc::new(memory);
    let target = |i: usize| {
        // SAFETY: the range is inside the vector, which is zeroed, is owned by the target (its memory stays
        // where it is) and is reached in no other way; no two ranges overlap.
        unsafe { ReadTarget::new(start.add(i * stride), bytes, Arc::clone(&owner) as Arc<_>) }
    };
    let targets = (0..count).map(target).collect();
    // SAFETY: the range is inside the vector, which the range owns too.
    let range = unsafe { BufferRange::new(start, count * stride, Arc::clone(&owner) as Arc<_>) };
    (targets, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocated_targets_start_at_a_page_and_do_not_overlap() {
        let (mut targets, _) = allocate_targets(3, 5000);
        for (i, target) in targets.iter_mut().enumerate() {
            let memory = target.as_mut_slice();
            assert_eq!((memory.len(), memory.as_ptr().align_offset(ALIGN)), (5000, 0));
            memory.fill(i as u8);
        }
        for (i, target) in targets.iter_mut().enumerate() {
            assert!(target.as_mut_slice().iter().all(|&byte| byte == i as u8));
        }
    }
}
