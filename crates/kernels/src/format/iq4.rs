//! 4-bit codes into a table of values that lie closer together near zero.
//! Layouts: `block_iq4_nl`, `block_iq4_xs`; table: `kvalues_iq4nl` in ggml-common.h.

use super::legacy::nibbles;
use super::{Format, GROUP};
use crate::half_float::scale_at;

const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub(crate) struct Iq4Nl;
pub(crate) struct Iq4Xs;

#[inline(always)]
fn looked_up(codes: [u8; GROUP], scale: f32, out: &mut [f32; GROUP]) {
    for i in 0..GROUP {
        out[i] = scale * f32::from(VALUES[usize::from(codes[i] & 15)]);
    }
}

impl Format for Iq4Nl {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 18;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 18] = block.try_into().expect("one block");
        looked_up(nibbles(&block[2..]), scale_at(block, 0), out);
    }
}

impl Format for Iq4Xs {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 136;

    /// d, 16 bits of top scale bits, 4 bytes of low scale nibbles, 128 bytes of nibbles.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 136] = block.try_into().expect("one block");
        let top = u16::from_le_bytes([block[2], block[3]]);
        let low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
        let scale = i32::from(low) | i32::from((top >> (2 * g)) & 3) << 4;
        looked_up(nibbles(&block[8 + 16 * g..][..16]), scale_at(block, 0) * (scale - 32) as f32, out);
    }
}
