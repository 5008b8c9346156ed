//! Rows of quantised weights times vectors in int8.
//!
//! **The definition.** A vector is cut into [`Int8Block`]s of 256 numbers `s * m * q`: a scale `s` of the block,
//! an integer `m` of each half group (16 numbers), an integer code `q` of each number. A row's result is made of
//! 16 running sums, from 16 zeros, block after block:
//!
//! For types with blocks of 256 weights `d * c * (k - bias) - dmin * n` (integers `c` and `n` of a group or of
//! half a group, codes `k` as stored):
//!
//! ```text
//! sum[l]     = fma(d * s,     f32(I[l]), sum[l])       l = 0 to 7
//! sum[8 + l] = fma(-dmin * s, f32(J[l]), sum[8 + l])   only if the type has a dmin
//! I[l] = (c * m * k * q summed over the weights i with (i % 32) / 4 == l) - bias * B[l]
//! B[l] = c * m * q and J[l] = n * m * q, summed over half groups: for l < 4 the first halves of groups
//!        2 l and 2 l + 1, for l >= 4 the second halves of groups 2 l - 8 and 2 l - 7
//! ```
//!
//! For types with blocks of 32 weights `d * k`, where such a block meets group `g` of a vector's block:
//!
//! ```text
//! sum[8 * (g % 2) + l] = fma(d * s, f32(I[l]), sum[8 * (g % 2) + l])
//! I[l] = m * k * q summed over the weights i with i / 4 == l
//! ```
//!
//! `I`, `B` and `J` are exact in i32; `f32` rounds to the nearest.
//! At the end sum `l` takes sum `l + 8`, then `l + 4`, `l + 2`, `l + 1`. Integers may be added in any order, so
//! every instruction set gives the same bits, and a row gives the same bits for one vector or many.
//!
//! **Nothing overflows.** `|q| <= 127` and `m <= 31`. Pairs of products in i16: 2 * 127 * 63 for stored codes
//! without a sign (Q6_K has the largest), 2 * 127 * 128 for signed ones: both below 2^15. `c * m` is at most
//! 128 * 31. `I`: 32 * 63 * 127 * 128 * 31 + 32 * (128 * 31) * (2 * 16 * 127) < 2^31 for Q6_K, less for the others
//! (32 * 127 * 127 * 32 * 31 < 2^29 for IQ4_XS).
//!
//! **Not numbers.** A block with a NaN or an infinity has a NaN for its scale: every row it meets gives NaN. An
//! f16 scale of the weights that is infinite or NaN gives an infinity or NaN by the formulas above.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod block;
#[cfg(target_arch = "x86_64")]
mod block_avx2;
#[cfg(target_arch = "aarch64")]
mod block_neon;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod scales;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use block::{BLOCK, Int8Block, quantize_vector};

use hotset_base::WeightType;

use crate::cpu::{Level, level};
use crate::format::*;

/// Running sums of a row.
const SUMS: usize = 16;
/// Rows that meet many vectors at a time.
pub(crate) const PANEL: usize = 4;
/// Vectors that they meet in one call, at most.
pub(crate) const TILE: usize = 32;

/// A block of 256 in i16 with its factors multiplied in; the order is the kernel's.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Wide([i16; BLOCK]);

impl Wide {
    pub const ZERO: Self = Self([0; BLOCK]);
}

/// Runs a generic function for the format of a weight type that has int8 kernels.
macro_rules! for_int8_type {
    ($ty:expr, $function:ident($($arg:expr),*)) => {
        match $ty {
            WeightType::Q8_0 => $function::<Q8_0>($($arg),*),
            WeightType::Q4_0 => $function::<Q4_0>($($arg),*),
            WeightType::Q5_0 => $function::<Q5_0>($($arg),*),
            WeightType::IQ4_NL => $function::<Iq4Nl>($($arg),*),
            WeightType::Q2_K => $function::<Q2K>($($arg),*),
            WeightType::Q3_K => $function::<Q3K>($($arg),*),
            WeightType::Q4_K => $function::<Q4K>($($arg),*),
            WeightType::Q5_K => $function::<Q5K>($($arg),*),
            WeightType::Q6_K => $function::<Q6K>($($arg),*),
            WeightType::IQ4_XS => $function::<Iq4Xs>($($arg),*),
            other => panic!("{other} has no int8 kernel"),
        }
    };
}

/// Whether rows of the type can be multiplied in int8. The plain types never are: their products are exact.
/// Q4_1 and Q5_1 could be, but have no kernel.
pub fn has_int8(ty: WeightType) -> bool {
    ty.block_weights() > 1 && !matches!(ty, WeightType::Q4_1 | WeightType::Q5_1)
}

/// The slow twin.
pub mod int8_scalar {
    use super::*;

    /// See [`super::quantize_vector`].
    pub fn quantize_vector(x: &[f32], blocks: &mut [Int8Block]) {
        block::quantize_vector_scalar(x, blocks);
    }

    /// See [`super::dot_int8`].
    pub fn dot_int8(ty: WeightType, row: &[u8], x: &[Int8Block]) -> f32 {
        check(ty, row, x.len());
        for_int8_type!(ty, slow(row, x))
    }
}

/// `row . x` as defined in [the module](self).
///
/// # Panics
/// If the type has no int8 kernel, or `row` is not whole blocks that end in the last block of `x`.
pub fn dot_int8(ty: WeightType, row: &[u8], x: &[Int8Block]) -> f32 {
    check(ty, row, x.len());
    let mut out = [0.0];
    (Kernels::of(ty).one)(row, row.len(), x, &mut out);
    out[0]
}

/// A row times `N` vectors.
type Dots<const N: usize> = fn(&[u8], [&[Int8Block]; N]) -> [f32; N];
/// Rows of a length in bytes, one after the other, times a vector.
type Rows = fn(&[u8], usize, &[Int8Block], &mut [f32]);

/// Vectors in [`Wide`] blocks: `widen(vector, out)`.
pub(crate) type Widen = fn(&[Int8Block], &mut [Wide]);
/// [`PANEL`] rows of a length in bytes, one after the other, times up to [`TILE`] vectors, which come widened too:
/// `panel(rows, row_bytes, wide, vectors, out)`.
pub(crate) type Panel = fn(&[u8], usize, &[Wide], &[&[Int8Block]], &mut [[f32; PANEL]; TILE]);

/// Rows times one vector, and a row times two or four: the same bits, but a weight is decoded once. Vectors must
/// have the blocks that a row needs. (With one vector, what begins and ends a call counts: a row may be only
/// three blocks.)
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    pub one: Rows,
    pub two: Dots<2>,
    pub four: Dots<4>,
    /// For many vectors, where the processor and the format have it.
    pub many: Option<(Widen, Panel)>,
}

impl Kernels {
    /// # Panics
    /// If the type has no int8 kernel.
    pub fn of(ty: WeightType) -> Self {
        for_int8_type!(ty, kernels())
    }
}

fn kernels<Q: Int8Format>() -> Kernels {
    Kernels { one: rows::<Q>, two: fast::<Q, 2>, four: fast::<Q, 4>, many: many::<Q>() }
}

/// Whether a format is multiplied in AVX-512 with VNNI here. Those with blocks of 32 gain little: they need a product
/// with a scale for every 32 weights in any case. And codes must be stored without a sign.
#[cfg(target_arch = "x86_64")]
fn has_vnni<Q: Int8Format>() -> bool {
    Q::WEIGHTS == BLOCK && (Q::BIAS != 0 || Q::DMIN.is_some()) && crate::cpu::has_vnni()
}

fn many<Q: Int8Format>() -> Option<(Widen, Panel)> {
    #[cfg(target_arch = "x86_64")]
    if has_vnni::<Q>() {
        // SAFETY: the instructions have been found.
        let widen: Widen =
            |x, wide| x.iter().zip(wide).for_each(|(x, wide)| unsafe { vnni::widen_block(x, wide) });
        // SAFETY: the same.
        let panel: Panel = |rows, len, wide, xs, out| unsafe { vnni::panel::<Q>(rows, len, wide, xs, out) };
        return Some((widen, panel));
    }
    None
}

fn check(ty: WeightType, row: &[u8], blocks: usize) {
    let weights = row.len() / ty.block_bytes() * ty.block_weights();
    let whole = row.len().is_multiple_of(ty.block_bytes());
    assert!(whole && weights.div_ceil(BLOCK) == blocks, "{} bytes of {ty}, {blocks} blocks", row.len());
}

fn fast<Q: Int8Format, const N: usize>(row: &[u8], xs: [&[Int8Block]; N]) -> [f32; N] {
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::dots::<Q, N>(row, xs) },
        // SAFETY: the level's name.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { neon::dots::<Q, N>(row, xs) },
        // SAFETY: the same.
        #[cfg(target_arch = "aarch64")]
        Level::DotProd => unsafe { neon::dots_dotprod::<Q, N>(row, xs) },
        Level::Baseline => xs.map(|x| slow::<Q>(row, x)),
    }
}

fn rows<Q: Int8Format>(rows: &[u8], row_bytes: usize, x: &[Int8Block], out: &mut [f32]) {
    if row_bytes == 0 {
        return out.fill(0.0);
    }
    match level() {
        // SAFETY: `has_vnni` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if Q::ONE_IN_AVX512 && has_vnni::<Q>() => unsafe {
            vnni::rows::<Q>(rows, row_bytes, x, out)
        },
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::rows::<Q>(rows, row_bytes, x, out) },
        _ => {
            for (row, out) in rows.chunks_exact(row_bytes).zip(out) {
                [*out] = fast::<Q, 1>(row, [x]);
            }
        }
    }
}

fn slow<Q: Int8Format>(row: &[u8], x: &[Int8Block]) -> f32 {
    scalar::dot::<Q>(row, x)
}

/// A format with int8 kernels.
pub(crate) trait Int8Format: Quantised {
    /// Bytes of 256 weights.
    const STEP: usize = BLOCK / Self::WEIGHTS * Self::BYTES;

    /// AVX-512 multiplies one vector faster than AVX2 does. With several it always does.
    #[cfg(target_arch = "x86_64")]
    const ONE_IN_AVX512: bool = false;

    /// The factors of `d` of a block of 256: of all groups' first halves, then of their second halves, in i16.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn scales_avx2(_block: &[u8]) -> std::arch::x86_64::__m256i {
        unreachable!("only blocks of 256 have factors")
    }

    /// The factors of `dmin` in the same order.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn mins_avx2(_block: &[u8]) -> std::arch::x86_64::__m256i {
        unreachable!("only blocks of 256 with a dmin have factors of it")
    }

    /// The codes of groups `2 pair` and `2 pair + 1` as stored.
    ///
    /// # Safety
    /// The processor has AVX2 and AVX-512 F and BW.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx512(block: &[u8], pair: usize) -> std::arch::x86_64::__m512i {
        // SAFETY: the caller has promised the instructions.
        unsafe { vnni::together(Self::stored_avx2(block, 2 * pair), Self::stored_avx2(block, 2 * pair + 1)) }
    }

    /// [`Int8Format::scales_avx2`]: of all groups' first halves, and of their second halves.
    ///
    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    unsafe fn scales_neon(_block: &[u8]) -> [std::arch::aarch64::int16x8_t; 2] {
        unreachable!("only blocks of 256 have factors")
    }

    /// The factors of `dmin` in the same order.
    ///
    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    unsafe fn mins_neon(_block: &[u8]) -> [std::arch::aarch64::int16x8_t; 2] {
        unreachable!("only blocks of 256 with a dmin have factors of it")
    }
}
