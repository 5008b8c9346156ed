//! Putting a vector into int8 in NEON.

use std::arch::aarch64::*;

use super::block::{BLOCK, CODE, GROUPS, Int8Block, MULTIPLIER, scales};

/// Fast twin of `block::quantize_block`.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn quantize_block(x: &[f32; BLOCK], block: &mut Int8Block) {
    // Numbers of half a group each: the first half of group 0, the second, the first half of group 1 ...
    let x: &[[f32; 16]; 2 * GROUPS] = x.as_chunks().0.try_into().expect("16 half groups");
    let largest = [0, 1].map(|half| largest_of_halves(x, half));
    let all = vmaxq_u32(vmaxq_u32(largest[0][0], largest[0][1]), vmaxq_u32(largest[1][0], largest[1][1]));
    let Some((scale, inverse)) = scales(f32::from_bits(vmaxvq_u32(all))) else {
        *block = Int8Block::ZERO;
        return;
    };
    if scale.is_nan() {
        *block = Int8Block { scale, ..Int8Block::ZERO };
        return;
    }
    block.scale = scale;
    for half in 0..2 {
        let multipliers = largest[half].map(|largest| multipliers(largest, inverse / CODE as f32));
        let packed = vcombine_s16(vmovn_s32(multipliers[0]), vmovn_s32(multipliers[1]));
        let inverses = multipliers.map(|m| vdivq_f32(vdupq_n_f32(inverse), vcvtq_f32_s32(m)));
        let mut of_half = [0.0; GROUPS];
        // SAFETY: stores of eight numbers to arrays, or halves of arrays, of eight.
        unsafe {
            vst1q_s16(block.multipliers[half * GROUPS..][..GROUPS].as_mut_ptr(), packed);
            vst1q_f32(of_half.as_mut_ptr(), inverses[0]);
            vst1q_f32(of_half[4..].as_mut_ptr(), inverses[1]);
        }
        let mut pairs = [vdupq_n_s16(0); GROUPS];
        for g in 0..GROUPS {
            let codes = round_half(&x[2 * g + half], of_half[g]);
            let out: &mut [i8; 16] = &mut block.codes.as_chunks_mut().0[2 * g + half];
            // SAFETY: a store of 16 bytes to an array of 16.
            unsafe { vst1q_s8(out.as_mut_ptr(), codes) };
            pairs[g] = vpaddlq_s8(codes);
        }
        let fours = [0, 1, 2, 3].map(|i| vpaddq_s16(pairs[2 * i], pairs[2 * i + 1]));
        let eights = [0, 1].map(|i| vpaddq_s16(fours[2 * i], fours[2 * i + 1]));
        let sums = vpaddq_s16(eights[0], eights[1]);
        // SAFETY: a store of eight numbers to half of an array of 16.
        unsafe { vst1q_s16(block.sums[half * GROUPS..][..GROUPS].as_mut_ptr(), sums) };
    }
}

/// Largest magnitudes, as bits, of half `half` of each of the eight groups.
#[inline]
#[target_feature(enable = "neon")]
fn largest_of_halves(x: &[[f32; 16]; 2 * GROUPS], half: usize) -> [uint32x4_t; 2] {
    let four = |g: usize| {
        let magnitude = |k| vreinterpretq_u32_f32(vabsq_f32(load(&x[2 * g + half], k)));
        vmaxq_u32(vmaxq_u32(magnitude(0), magnitude(1)), vmaxq_u32(magnitude(2), magnitude(3)))
    };
    // Two vectors to one that has both their largest numbers, then four.
    let two = |g: usize| vpmaxq_u32(four(g), four(g + 1));
    [vpmaxq_u32(two(0), two(2)), vpmaxq_u32(two(4), two(6))]
}

/// The least multiples of the scale that bring half groups into the range of the codes.
#[inline]
#[target_feature(enable = "neon")]
fn multipliers(largest: uint32x4_t, of_code: f32) -> int32x4_t {
    let least = vcvtpq_s32_f32(vmulq_n_f32(vreinterpretq_f32_u32(largest), of_code));
    vmaxq_s32(vminq_s32(least, vdupq_n_s32(MULTIPLIER)), vdupq_n_s32(1))
}

/// The 16 codes of half a group; conversion rounds to the nearest, ties to even.
#[inline]
#[target_feature(enable = "neon")]
fn round_half(x: &[f32; 16], inverse: f32) -> int8x16_t {
    let rounded = |k| vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(load(x, k), inverse)));
    let eight = |k| vqmovn_s16(vcombine_s16(rounded(k), rounded(k + 1)));
    vcombine_s8(eight(0), eight(2))
}

/// Numbers `4 k` to `4 k + 3`.
#[inline]
#[target_feature(enable = "neon")]
fn load(x: &[f32; 16], k: usize) -> float32x4_t {
    let four: &[f32; 4] = &x.as_chunks().0[k];
    // SAFETY: a load of exactly the four numbers of the array.
    unsafe { vld1q_f32(four.as_ptr()) }
}
