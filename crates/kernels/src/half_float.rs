//! f16 and bf16 to f32, exactly, without branches so that loops over them vectorise.

#[cfg(target_arch = "aarch64")]
use std::arch::{aarch64::*, asm};

/// IEEE 754 half to single precision. Exact; NaN payloads are kept.
#[inline(always)]
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    // Exponent and mantissa moved into place are the value times 2^-112 (the difference of the two
    // exponent biases); the product is exact, also for subnormal halves.
    const RESCALE: f32 = f32::from_bits((127 + 112) << 23);
    const INFINITE: u32 = 0x7c00 << 13;
    let magnitude = u32::from(half & 0x7fff) << 13;
    let special = if magnitude >= INFINITE { 0x7f80_0000 } else { 0 };
    let sign = u32::from(half & 0x8000) << 16;
    f32::from_bits((f32::from_bits(magnitude) * RESCALE).to_bits() | special | sign)
}

/// Four f16 numbers to f32. Exact.
#[cfg(target_arch = "aarch64")]
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn f16s_to_f32s(halves: uint16x4_t) -> float32x4_t {
    let out;
    // The library's function for this instruction is younger than the oldest compiler supported.
    // SAFETY: registers to registers.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", lateout(vreg) out, in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Truncated single precision to single precision. Exact.
#[inline(always)]
pub(crate) fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// The `i`-th little-endian 16-bit number of `bytes`.
#[inline(always)]
pub(crate) fn u16_at(bytes: &[u8], i: usize) -> u16 {
    u16::from_le_bytes(bytes[2 * i..2 * i + 2].try_into().expect("two bytes"))
}

/// The f16 scale at byte `at` of a block.
#[inline(always)]
pub(crate) fn scale_at(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16_at(&block[at..at + 2], 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_halves_convert_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32();
            let found = f16_to_f32(bits);
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{bits:#x}"
            );
        }
    }
}
