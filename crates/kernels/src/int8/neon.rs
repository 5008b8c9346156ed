//! The definition in NEON, with and without the instruction for sums of four products of bytes.

use std::arch::aarch64::*;
use std::arch::asm;

use super::block::{GROUPS, Int8Block};
use super::{Int8Format, SUMS};
use crate::format::GROUP;
use crate::half_float::{f16s_to_f32s, scale_at, u16_at};

/// The running sums of each vector, four a register.
type Sums<const N: usize> = [[float32x4_t; SUMS / 4]; N];
/// Numbers of the half groups: the first halves of all groups, then the second halves.
type Halves = [int16x8_t; 2];
/// The same in i32.
type WideHalves = [[int32x4_t; 2]; 2];

/// Runs `body` for every group of a block with `G` a constant: it names places in registers.
macro_rules! for_each_group {
    ($g:ident, $body:block) => { for_each_group!(@ $g $body 0 1 2 3 4 5 6 7) };
    (@ $g:ident $body:block $($i:literal)*) => {{ $({ const $g: usize = $i; $body })* }};
}

/// `values[half][group]` in all places.
macro_rules! spread {
    ($values:expr, $half:expr, $g:ident) => {
        vdupq_laneq_s32::<{ ($g % 4) as i32 }>($values[$half][$g / 4])
    };
}

/// Fast twin of `scalar::dot` for `N` vectors.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn dots<Q: Int8Format, const N: usize>(row: &[u8], xs: [&[Int8Block]; N]) -> [f32; N] {
    // SAFETY: the same promise.
    unsafe { dots_body::<Q, N, false>(row, xs) }
}

/// The same.
///
/// # Safety
/// The processor has NEON with dot products.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn dots_dotprod<Q: Int8Format, const N: usize>(
    row: &[u8],
    xs: [&[Int8Block]; N],
) -> [f32; N] {
    // SAFETY: the same promise.
    unsafe { dots_body::<Q, N, true>(row, xs) }
}

/// # Safety
/// The processor has NEON and, for `DOT`, dot products.
#[inline(always)]
unsafe fn dots_body<Q: Int8Format, const N: usize, const DOT: bool>(
    row: &[u8],
    xs: [&[Int8Block]; N],
) -> [f32; N] {
    let steps = row.chunks_exact(Q::STEP);
    let (tail, whole) = (steps.remainder(), steps.len());
    // SAFETY: the caller has promised the instructions.
    unsafe {
        let mut sums: Sums<N> = [[vdupq_n_f32(0.0); SUMS / 4]; N];
        for (at, step) in steps.enumerate() {
            let x = xs.map(|x| &x[at]);
            if Q::WEIGHTS == GROUP {
                small_blocks::<Q, N, DOT>(step, x, &mut sums);
            } else {
                large_block::<Q, N, DOT>(step, x, &mut sums);
            }
        }
        if !tail.is_empty() {
            // Only rows of small blocks have a tail.
            small_blocks::<Q, N, DOT>(tail, xs.map(|x| &x[whole]), &mut sums);
        }
        sums.map(|sums| reduce(sums))
    }
}

/// # Safety
/// That of [`dots_body`].
#[inline(always)]
unsafe fn large_block<Q: Int8Format, const N: usize, const DOT: bool>(
    block: &[u8],
    xs: [&Int8Block; N],
    sums: &mut Sums<N>,
) {
    let block = &block[..Q::BYTES];
    // SAFETY: the caller has promised the instructions.
    unsafe {
        let factors = Q::scales_neon(block);
        // The factor of a weight: of its half group, times the multiplier of the group.
        let factors = xs.map(|x| times(factors, load_halves(&x.multipliers)));
        let wide = factors.map(|factors| widened(factors));
        let mut products = [[vdupq_n_s32(0); 2]; N];
        for_each_group!(G, {
            let stored = Q::stored_neon(block, G);
            for n in 0..N {
                let codes = codes(xs[n], G);
                for half in 0..2 {
                    let fours = fours::<DOT>(stored[half], codes[half]);
                    products[n][half] = vmlaq_s32(products[n][half], fours, spread!(wide[n], half, G));
                }
            }
        });
        let d = scale_at(block, Q::D);
        for n in 0..N {
            if Q::BIAS != 0 {
                let biases = pairs(factors[n], load_halves(&xs[n].sums));
                for half in 0..2 {
                    let bias = i32::from(Q::BIAS);
                    products[n][half] = vmlsq_n_s32(products[n][half], biases[half], bias);
                }
            }
            let scale = d * xs[n].scale;
            for half in 0..2 {
                sums[n][half] = vfmaq_n_f32(sums[n][half], vcvtq_f32_s32(products[n][half]), scale);
            }
        }
        if let Some(at) = Q::DMIN {
            let (dmin, factors) = (scale_at(block, at), Q::mins_neon(block));
            for n in 0..N {
                let factors = times(factors, load_halves(&xs[n].multipliers));
                let (minima, scale) = (pairs(factors, load_halves(&xs[n].sums)), dmin * xs[n].scale);
                for half in 0..2 {
                    let sum = &mut sums[n][2 + half];
                    *sum = vfmsq_n_f32(*sum, vcvtq_f32_s32(minima[half]), scale);
                }
            }
        }
    }
}

/// # Safety
/// That of [`dots_body`].
#[inline(always)]
unsafe fn small_blocks<Q: Int8Format, const N: usize, const DOT: bool>(
    blocks: &[u8],
    xs: [&Int8Block; N],
    sums: &mut Sums<N>,
) {
    let count = blocks.len() / Q::BYTES;
    let mut d = [0; GROUPS];
    for g in 0..count {
        d[g] = u16_at(&blocks[g * Q::BYTES + Q::D..][..2], 0);
    }
    // SAFETY: the caller has promised the instructions.
    unsafe {
        let d = widened_f16(&d);
        let scales = xs.map(|x| d.map(|d| vmulq_n_f32(d, x.scale)));
        let multipliers = xs.map(|x| widened(load_halves(&x.multipliers)));
        for_each_group!(G, {
            if G < count {
                let block = &blocks[G * Q::BYTES..][..Q::BYTES];
                let weights = Q::codes_neon(block, 0);
                for n in 0..N {
                    let codes = codes(xs[n], G);
                    for half in 0..2 {
                        let fours = fours::<DOT>(weights[half], codes[half]);
                        let products = vmulq_s32(fours, spread!(multipliers[n], half, G));
                        let sum = &mut sums[n][2 * (G % 2) + half];
                        let scales = scales[n][G / 4];
                        *sum = vfmaq_laneq_f32::<{ (G % 4) as i32 }>(*sum, vcvtq_f32_s32(products), scales);
                    }
                }
            }
        });
    }
}

/// Sums of four products.
///
/// # Safety
/// The processor has NEON and, for `DOT`, dot products.
#[inline(always)]
unsafe fn fours<const DOT: bool>(a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller has promised the instructions.
    unsafe { if DOT { fours_dotprod(a, b) } else { fours_widening(a, b) } }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn fours_dotprod(a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sums = vdupq_n_s32(0);
    // The library's function for this instruction, `vdotq_s32`, is not stable.
    // SAFETY: registers to registers.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Two products fit an i16: see the bounds in the module above.
#[inline]
#[target_feature(enable = "neon")]
fn fours_widening(a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let (low, high) = (vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b));
    vpaddlq_s16(vpaddq_s16(low, high))
}

/// The 32 codes of group `g`.
#[inline]
#[target_feature(enable = "neon")]
fn codes(x: &Int8Block, g: usize) -> [int8x16_t; 2] {
    let codes: &[i8; GROUP] = &x.codes.as_chunks::<GROUP>().0[g];
    // SAFETY: two loads of exactly the 32 bytes of the array.
    unsafe { [vld1q_s8(codes.as_ptr()), vld1q_s8(codes.as_ptr().add(GROUP / 2))] }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_halves(values: &[i16; 2 * GROUPS]) -> Halves {
    // SAFETY: two loads of exactly the 16 numbers of the array.
    unsafe { [vld1q_s16(values.as_ptr()), vld1q_s16(values.as_ptr().add(GROUPS))] }
}

#[inline]
#[target_feature(enable = "neon")]
fn times(a: Halves, b: Halves) -> Halves {
    [vmulq_s16(a[0], b[0]), vmulq_s16(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "neon")]
fn widened(values: Halves) -> WideHalves {
    values.map(|values| [vmovl_s16(vget_low_s16(values)), vmovl_high_s16(values)])
}

/// Eight f16 numbers.
#[inline]
#[target_feature(enable = "neon")]
fn widened_f16(halves: &[u16; GROUPS]) -> [float32x4_t; 2] {
    // SAFETY: a load of exactly the eight numbers of the array.
    let halves = unsafe { vld1q_u16(halves.as_ptr()) };
    [f16s_to_f32s(vget_low_u16(halves)), f16s_to_f32s(vget_high_u16(halves))]
}

/// Sums of two products of neighbours.
#[inline]
#[target_feature(enable = "neon")]
fn pairs(a: Halves, b: Halves) -> [int32x4_t; 2] {
    [0, 1].map(|half| {
        let (low, high) =
            (vmull_s16(vget_low_s16(a[half]), vget_low_s16(b[half])), vmull_high_s16(a[half], b[half]));
        vpaddq_s32(low, high)
    })
}

/// Eight scales and eight minima from those of groups 0 to 3 and of groups 4 to 7 in bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn eights([low, high]: [u64; 2]) -> (int16x8_t, int16x8_t) {
    let (low, high) = (vcreate_s32(low), vcreate_s32(high));
    let wide = |bytes| vmovl_s8(vreinterpret_s8_s32(bytes));
    (wide(vzip1_s32(low, high)), wide(vzip2_s32(low, high)))
}

/// 16 signed bytes in i16: the even ones, then the odd ones.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn halves_apart(bytes: int8x16_t) -> Halves {
    let (low, high) = (vget_low_s8(bytes), vget_high_s8(bytes));
    [vmovl_s8(vuzp1_s8(low, high)), vmovl_s8(vuzp2_s8(low, high))]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_16(bytes: &[u8]) -> int8x16_t {
    let bytes: &[u8; 16] = bytes.try_into().expect("16 bytes");
    // SAFETY: a load of exactly the 16 bytes of the array.
    unsafe { vld1q_s8(bytes.as_ptr().cast()) }
}

/// The tree of `super::reduce`.
#[inline]
#[target_feature(enable = "neon")]
fn reduce(sums: [float32x4_t; SUMS / 4]) -> f32 {
    let four = vaddq_f32(vaddq_f32(sums[0], sums[2]), vaddq_f32(sums[1], sums[3]));
    vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
}
