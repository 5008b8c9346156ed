//! Changing sound files into hostile ones. Everything follows from the random numbers that are passed in.

pub mod bytes;
pub mod json;
pub mod text;

use hotset_testkit::Random;

/// Whether something that happens once in `n` happens.
pub fn once_in(random: &mut Random, n: usize) -> bool {
    random.below(n) == 0
}

/// One of them.
///
/// # Panics
/// If there are none.
pub fn pick<'a, T>(random: &mut Random, items: &'a [T]) -> &'a T {
    &items[random.below(items.len())]
}

/// Numbers at which sizes overflow, limits end and signs change.
pub fn extreme_number(random: &mut Random) -> u64 {
    const ENDS: [u64; 8] = [0, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63];
    const OTHERS: [u64; 8] = [1, 2, 64, 512, 1024, 4096, 1 << 20, 1 << 53];
    match random.below(3) {
        0 => pick(random, &ENDS).wrapping_sub(random.below(2) as u64),
        1 => pick(random, &OTHERS).wrapping_add(random.below(3) as u64).wrapping_sub(1),
        _ => random.bits() >> random.below(64),
    }
}
