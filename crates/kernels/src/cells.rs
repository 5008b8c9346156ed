//! A buffer of f32 that several threads write one number at a time.

use std::sync::atomic::{AtomicU32, Ordering};

/// An f32 that may be written through a shared reference. On every supported processor a relaxed
/// store is a plain store: what this buys is that two writers of one cell are a wrong result at
/// worst, never undefined behaviour.
#[repr(transparent)]
pub(crate) struct Cell(AtomicU32);

impl Cell {
    #[inline(always)]
    pub fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// Applies a function of whole vectors to some cells, a few at a time.
pub(crate) fn map(cells: &[Cell], f: fn(&mut [f32])) {
    let mut numbers = [0.0; 64];
    for cells in cells.chunks(numbers.len()) {
        let numbers = &mut numbers[..cells.len()];
        numbers.iter_mut().zip(cells).for_each(|(x, cell)| *x = cell.get());
        f(numbers);
        numbers.iter().zip(cells).for_each(|(x, cell)| cell.set(*x));
    }
}

/// The same memory, shareable, for as long as it is borrowed.
pub(crate) fn cells(values: &mut [f32]) -> &[Cell] {
    const { assert!(size_of::<Cell>() == size_of::<f32>() && align_of::<Cell>() == align_of::<f32>()) };
    let (start, len) = (values.as_mut_ptr(), values.len());
    // SAFETY: same size and alignment (above), every bit pattern is valid for both, and the exclusive
    // borrow lasts as long as the result, so nobody sees the memory as plain f32 meanwhile.
    unsafe { std::slice::from_raw_parts(start.cast::<Cell>(), len) }
}
