//! Blocks of 32 with codes into a table. Layout as in `format::iq4`.

use super::{put_scale, unit};
use crate::format::IQ4_VALUES;

const HALF: usize = 16;

pub(super) fn iq4_nl(x: &[f32], out: &mut [u8]) {
    let scale = put_scale(out, 0, best_scale(x));
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for i in 0..HALF {
        out[2 + i] = nearest(x[i] * inverse) | nearest(x[i + HALF] * inverse) << 4;
    }
}

/// The code whose value is nearest.
fn nearest(x: f32) -> u8 {
    let distance = |code: u8| (f32::from(IQ4_VALUES[usize::from(code)]) - x).abs();
    (0..16).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

/// As `super::best_scale`, with the table for a grid: scales around the one that maps the largest weight
/// to an end of the table, least-squares refined, the least squared error weighted by `x^2` wins.
fn best_scale(x: &[f32]) -> f32 {
    let extreme = x.iter().copied().fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    let unit = unit(extreme);
    let extreme = extreme / unit;
    let (mut best, mut best_gain) = (0.0, 0.0);
    for step in -7..=7 {
        for end in [IQ4_VALUES[0], IQ4_VALUES[15]] {
            let inverse = (f32::from(end) + step as f32) / extreme;
            let (mut wxq, mut wqq) = (0.0f32, 0.0f32);
            for x in x.iter().map(|x| x / unit) {
                let q = f32::from(IQ4_VALUES[usize::from(nearest(x * inverse))]);
                wxq += x * x * x * q;
                wqq += x * x * q * q;
            }
            // NaN (an all-zero block) compares false and leaves the scale zero.
            if wqq > 0.0 && wxq * wxq > best_gain * wqq {
                best_gain = wxq * wxq / wqq;
                best = wxq / wqq;
            }
        }
    }
    best * unit
}
