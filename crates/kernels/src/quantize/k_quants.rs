//! Blocks of 256. Layouts as in `format::k_quants`.

use super::{best_scale, best_scale_and_min, nearest, put_scale};
use crate::format::six_bit_scale_and_min;

const SUB: usize = 32;

pub(super) fn q4_k(x: &[f32], out: &mut [u8]) {
    let codes = scales_and_codes(x, out, 15);
    for (i, byte) in out[16..].iter_mut().enumerate() {
        *byte = nibble_pair(&codes, i);
    }
}

pub(super) fn q5_k(x: &[f32], out: &mut [u8]) {
    let codes = scales_and_codes(x, out, 31);
    for i in 0..SUB {
        out[16 + i] = (0..8).fold(0, |bits, g| bits | (codes[g * SUB + i] >> 4) << g);
    }
    for (i, byte) in out[48..].iter_mut().enumerate() {
        *byte = nibble_pair(&codes, i);
    }
}

/// Byte `i` of the nibbles: low from an even sub-block, high from the odd one after it.
fn nibble_pair(codes: &[u8; 256], i: usize) -> u8 {
    let at = i / SUB * 2 * SUB + i % SUB;
    (codes[at] & 15) | (codes[at + SUB] & 15) << 4
}

/// Fits eight sub-blocks, writes d, dmin and the packed 6-bit scales, and codes the weights for what
/// was really written.
fn scales_and_codes(x: &[f32], out: &mut [u8], levels: i32) -> [u8; 256] {
    let subs = x.as_chunks::<SUB>().0;
    let fits: Vec<(f32, f32)> = subs.iter().map(|sub| best_scale_and_min(sub, levels)).collect();
    let largest = |part: fn(&(f32, f32)) -> f32| fits.iter().map(part).fold(0.0f32, f32::max);
    let d = put_scale(out, 0, largest(|fit| fit.0) / 63.0);
    let dmin = put_scale(out, 2, largest(|fit| fit.1) / 63.0);
    let packed = &mut out[4..16];
    packed.fill(0);
    for (g, fit) in fits.iter().enumerate() {
        put_six_bits(packed, g, nearest(fit.0, d, 0, 63) as u8, nearest(fit.1, dmin, 0, 63) as u8);
    }
    let mut codes = [0; 256];
    for (i, code) in codes.iter_mut().enumerate() {
        let (scale, min) = six_bit_scale_and_min(packed, i / SUB);
        *code = nearest(x[i] + dmin * f32::from(min), d * f32::from(scale), 0, levels) as u8;
    }
    codes
}

/// The inverse of `six_bit_scale_and_min`.
fn put_six_bits(packed: &mut [u8], g: usize, scale: u8, min: u8) {
    if g < 4 {
        packed[g] |= scale;
        packed[g + 4] |= min;
    } else {
        packed[g + 4] = scale & 15 | (min & 15) << 4;
        packed[g - 4] |= (scale >> 4) << 6;
        packed[g] |= (min >> 4) << 6;
    }
}

pub(super) fn q6_k(x: &[f32], out: &mut [u8]) {
    let fits: Vec<f32> = x.chunks_exact(SUB / 2).map(|sub| best_scale(sub, 32)).collect();
    let extreme = fits.iter().copied().fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    // The largest scale gets -128, the end of the signed byte that reaches further.
    let d = put_scale(out, 208, extreme / -128.0);
    for (scale, fit) in out[192..208].iter_mut().zip(&fits) {
        *scale = nearest(*fit, d, -128, 127) as u8;
    }
    let mut codes = [0u8; 256];
    for (i, code) in codes.iter_mut().enumerate() {
        let scale = d * f32::from(out[192 + i / 16] as i8);
        *code = (nearest(x[i], scale, -32, 31) + 32) as u8;
    }
    for half in 0..2 {
        let code = |group: usize, i: usize| codes[half * 128 + group * SUB + i];
        for i in 0..SUB {
            out[half * 64 + i] = code(0, i) & 15 | (code(2, i) & 15) << 4;
            out[half * 64 + SUB + i] = code(1, i) & 15 | (code(3, i) & 15) << 4;
            out[128 + half * SUB + i] =
                (0..4).fold(0, |bits, group| bits | (code(group, i) >> 4) << (2 * group));
        }
    }
}
