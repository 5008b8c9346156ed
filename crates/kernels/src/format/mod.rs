//! The block formats: how 32 consecutive weights become numbers.
//!
//! Every format gives its weights in groups of 32. A weight is `scale * code - min`, two roundings,
//! never fused: the values ggml's `dequantize_row_*` give.

mod float;
mod iq4;
mod k_quants;
mod legacy;

pub(crate) use float::{Bf16, F16, F32};
pub(crate) use iq4::{Iq4Nl, Iq4Xs};
pub(crate) use k_quants::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};

pub(crate) use k_quants::six_bit_scale_and_min;

/// Weights of a group: the width of the canonical sum.
pub(crate) const GROUP: usize = 32;

/// A block format.
pub(crate) trait Format {
    /// Weights of one block; 1 for plain numbers.
    const WEIGHTS: usize;
    /// Bytes of one block.
    const BYTES: usize;

    /// Weights `32 * g ..` of a block (of 32 consecutive numbers for plain formats).
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]);

    /// One number of a plain format; block formats have no tails.
    fn single(_bytes: &[u8], _i: usize) -> f32 {
        unreachable!("rows of blocks are whole groups")
    }
}
