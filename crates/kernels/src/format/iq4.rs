//! 4-bit codes into a table of values that lie closer together near zero.
//! Layouts: `block_iq4_nl`, `block_iq4_xs`; table: `kvalues_iq4nl` in ggml-common.h.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::int8x16_t;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::legacy::nibbles;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{GROUP, Quantised};

pub(crate) const VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub(crate) struct Iq4Nl;
pub(crate) struct Iq4Xs;

#[inline(always)]
fn looked_up(bytes: &[u8]) -> [i8; GROUP] {
    nibbles(bytes).map(|code| VALUES[code as usize & 15])
}

impl Quantised for Iq4Nl {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 18;
    const D: usize = 0;

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        looked_up(&block[2..18])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::looked_up(&VALUES, avx2::nibbles_of_16(&block[2..18])) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::looked_up(&VALUES, neon::nibbles_of_16(&block[2..18])) }
    }
}

/// d, 16 bits of top scale bits, 4 bytes of low scale nibbles, 128 bytes of nibbles.
impl Quantised for Iq4Xs {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 136;
    const D: usize = 0;

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, _half: usize) -> i32 {
        let top = u16::from_le_bytes([block[2], block[3]]);
        let low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
        (i32::from(low) | i32::from((top >> (2 * g)) & 3) << 4) - 32
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        looked_up(&block[8 + 16 * g..][..16])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::looked_up(&VALUES, avx2::nibbles_of_16(&block[8 + 16 * g..][..16])) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::looked_up(&VALUES, neon::nibbles_of_16(&block[8 + 16 * g..][..16])) }
    }
}
