//! Leaves of the NEON formats: 32 codes to two vectors of bytes, bytes to f32.

use std::arch::aarch64::*;

use super::{GROUP, HALF};

/// 32 bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(bytes: &[u8]) -> [uint8x16_t; 2] {
    let bytes: &[u8; GROUP] = bytes.try_into().expect("32 bytes");
    [load_half(&bytes[..HALF]), load_half(&bytes[HALF..])]
}

/// 16 bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_half(bytes: &[u8]) -> uint8x16_t {
    let bytes: &[u8; HALF] = bytes.try_into().expect("16 bytes");
    // SAFETY: a load of exactly the 16 bytes of the array.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// Codes as signed numbers.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn signed(bytes: [uint8x16_t; 2]) -> [int8x16_t; 2] {
    [vreinterpretq_s8_u8(bytes[0]), vreinterpretq_s8_u8(bytes[1])]
}

/// Nibbles of 16 bytes: the low ones are codes 0 to 15, the high ones 16 to 31.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn nibbles_of_16(bytes: &[u8]) -> [uint8x16_t; 2] {
    let bytes = load_half(bytes);
    [vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes)]
}

/// Bits `shift ..` of every byte, as many as `mask` has.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn bits(bytes: [uint8x16_t; 2], shift: usize, mask: u8) -> [uint8x16_t; 2] {
    let (right, mask) = (vdupq_n_s8(-(shift as i8)), vdupq_n_u8(mask));
    [vandq_u8(vshlq_u8(bytes[0], right), mask), vandq_u8(vshlq_u8(bytes[1], right), mask)]
}

/// `value` for every byte with bit `bit` set, else 0.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn where_bit(bytes: [uint8x16_t; 2], bit: usize, value: u8) -> [uint8x16_t; 2] {
    let (bit, value) = (vdupq_n_u8(1 << bit), vdupq_n_u8(value));
    [vandq_u8(vtstq_u8(bytes[0], bit), value), vandq_u8(vtstq_u8(bytes[1], bit), value)]
}

/// `value` in byte `i` where bit `i` of `mask` is set, else 0.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn where_mask(mask: u32, value: u8) -> [uint8x16_t; 2] {
    // Byte i of a vector gets byte i / 8 of its half of the mask, of which bit i % 8 is tested.
    let bit = vcombine_u8(vcreate_u8(0x8040_2010_0804_0201), vcreate_u8(0x8040_2010_0804_0201));
    let [a, b, c, d] = mask.to_le_bytes();
    let half = |low, high| {
        let bytes = vcombine_u8(vdup_n_u8(low), vdup_n_u8(high));
        vandq_u8(vtstq_u8(bytes, bit), vdupq_n_u8(value))
    };
    [half(a, b), half(c, d)]
}

/// Codes of which each vector has some bits.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn or(a: [uint8x16_t; 2], b: [uint8x16_t; 2]) -> [int8x16_t; 2] {
    signed([vorrq_u8(a[0], b[0]), vorrq_u8(a[1], b[1])])
}

/// `table[code]` for codes 0 to 15.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn looked_up(table: &[i8; 16], codes: [uint8x16_t; 2]) -> [int8x16_t; 2] {
    // SAFETY: a load of exactly the 16 bytes of the table.
    let table = unsafe { vld1q_s8(table.as_ptr()) };
    [vqtbl1q_s8(table, codes[0]), vqtbl1q_s8(table, codes[1])]
}

/// 32 signed bytes as f32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn widen(codes: [int8x16_t; 2]) -> [float32x4_t; 8] {
    let mut out = [vdupq_n_f32(0.0); 8];
    for (codes, out) in codes.into_iter().zip(out.as_chunks_mut::<4>().0) {
        let (low, high) = (vmovl_s8(vget_low_s8(codes)), vmovl_high_s8(codes));
        *out = [
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
            vcvtq_f32_s32(vmovl_high_s16(low)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
            vcvtq_f32_s32(vmovl_high_s16(high)),
        ];
    }
    out
}

/// `scale * code - min`, two roundings.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn on_grid(code: float32x4_t, scale: f32, min: Option<f32>) -> float32x4_t {
    let scaled = vmulq_n_f32(code, scale);
    match min {
        Some(min) => vsubq_f32(scaled, vdupq_n_f32(min)),
        None => scaled,
    }
}
