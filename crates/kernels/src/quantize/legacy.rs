//! Blocks of 32. Layouts as in `format::legacy`.

use super::{best_scale, nearest, put_scale};

const HALF: usize = 16;

pub(super) fn q8_0(x: &[f32], out: &mut [u8]) {
    let largest = x.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let scale = put_scale(out, 0, largest / 127.0);
    for (out, &x) in out[2..].iter_mut().zip(x) {
        *out = nearest(x, scale, -127, 127) as u8;
    }
}

pub(super) fn q4_0(x: &[f32], out: &mut [u8]) {
    let scale = put_scale(out, 0, best_scale(x, 8));
    put_nibbles(&mut out[2..], |i| (nearest(x[i], scale, -8, 7) + 8) as u8);
}

pub(super) fn q5_0(x: &[f32], out: &mut [u8]) {
    let scale = put_scale(out, 0, best_scale(x, 16));
    put_five_bits(&mut out[2..], |i| (nearest(x[i], scale, -16, 15) + 16) as u8);
}

pub(super) fn q4_1(x: &[f32], out: &mut [u8]) {
    let (scale, low) = span(x, 15.0, out);
    put_nibbles(&mut out[4..], |i| nearest(x[i] - low, scale, 0, 15) as u8);
}

pub(super) fn q5_1(x: &[f32], out: &mut [u8]) {
    let (scale, low) = span(x, 31.0, out);
    put_five_bits(&mut out[4..], |i| nearest(x[i] - low, scale, 0, 31) as u8);
}

/// Scale and offset that span the block.
fn span(x: &[f32], levels: f32, out: &mut [u8]) -> (f32, f32) {
    let low = x.iter().copied().fold(f32::INFINITY, f32::min);
    let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (put_scale(out, 0, (high - low) / levels), put_scale(out, 2, low))
}

fn put_nibbles(out: &mut [u8], code: impl Fn(usize) -> u8) {
    for i in 0..HALF {
        out[i] = (code(i) & 15) | (code(i + HALF) & 15) << 4;
    }
}

fn put_five_bits(out: &mut [u8], code: impl Fn(usize) -> u8) {
    let high = (0..2 * HALF).fold(0u32, |bits, i| bits | u32::from(code(i) >> 4) << i);
    out[..4].copy_from_slice(&high.to_le_bytes());
    put_nibbles(&mut out[4..], code);
}
