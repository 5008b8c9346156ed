//! f32 to blocks: what packing does. Speed matters little, the error much.

mod iq4;
mod k_quants;
mod legacy;

use hotset_base::WeightType;

/// Why weights could not be quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizeError {
    /// The type can be read but not written.
    Unsupported(WeightType),
    /// A weight is NaN or infinite.
    NotFinite {
        /// Its position in the row.
        at: usize,
    },
    /// A weight is too large for the type, or for the f16 scales of its block.
    TooLarge {
        /// The type.
        ty: WeightType,
        /// Position in the row of the first weight that could not be read back.
        at: usize,
    },
}

impl std::fmt::Display for QuantizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported(ty) => write!(f, "hotset reads {ty} but does not write it"),
            Self::NotFinite { at } => write!(f, "weight {at} of a row is not a finite number"),
            Self::TooLarge { ty, at } => write!(f, "weight {at} of a row is too large for {ty}"),
        }
    }
}

impl std::error::Error for QuantizeError {}

/// Quantises a row.
///
/// # Errors
/// See [`QuantizeError`]; `out` then holds nothing of use.
///
/// # Panics
/// If `out` is not exactly the bytes of `src.len()` weights of the type.
pub fn quantize_row(ty: WeightType, src: &[f32], out: &mut [u8]) -> Result<(), QuantizeError> {
    let expected = ty.row_bytes(src.len()).map(|bytes| bytes.index());
    assert_eq!(expected, Some(out.len()), "a row of {} {ty} weights", src.len());
    if let Some(at) = src.iter().position(|x| !x.is_finite()) {
        return Err(QuantizeError::NotFinite { at });
    }
    let blocks = src.chunks_exact(ty.block_weights()).zip(out.chunks_exact_mut(ty.block_bytes()));
    let quantize: fn(&[f32], &mut [u8]) = match ty {
        WeightType::F32 => |x, out| out.copy_from_slice(&x[0].to_le_bytes()),
        WeightType::F16 => |x, out| out.copy_from_slice(&half::f16::from_f32(x[0]).to_le_bytes()),
        WeightType::BF16 => |x, out| out.copy_from_slice(&half::bf16::from_f32(x[0]).to_le_bytes()),
        WeightType::Q8_0 => legacy::q8_0,
        WeightType::Q4_0 => legacy::q4_0,
        WeightType::Q4_1 => legacy::q4_1,
        WeightType::Q5_0 => legacy::q5_0,
        WeightType::Q5_1 => legacy::q5_1,
        WeightType::IQ4_NL => iq4::iq4_nl,
        WeightType::Q4_K => k_quants::q4_k,
        WeightType::Q5_K => k_quants::q5_k,
        WeightType::Q6_K => k_quants::q6_k,
        other => return Err(QuantizeError::Unsupported(other)),
    };
    blocks.for_each(|(x, out)| quantize(x, out));
    match first_unreadable(ty, out) {
        Some(at) => Err(QuantizeError::TooLarge { ty, at }),
        None => Ok(()),
    }
}

/// The first weight of a row that does not read back as a finite number: its scale overflowed f16.
fn first_unreadable(ty: WeightType, row: &[u8]) -> Option<usize> {
    const MOST: usize = 256;
    let (mut wide, weights) = ([0.0; MOST], ty.block_weights());
    row.chunks_exact(ty.block_bytes()).enumerate().find_map(|(block, bytes)| {
        crate::dequantize_row(ty, bytes, &mut wide[..weights]);
        wide[..weights].iter().position(|w| !w.is_finite()).map(|at| block * weights + at)
    })
}

/// The power of two that brings `largest` between 1 and 2. Weights are fitted relative to it, so that
/// no power of a finite weight overflows or vanishes; a division by it is exact and changes no fit.
fn unit(largest: f32) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    f32::from_bits(largest.to_bits() & EXPONENT).max(f32::MIN_POSITIVE)
}

/// The symmetric grid `scale * code` that fits `x` best: codes from `-levels` to `levels - 1`.
///
/// Tries scales around the one that spans the largest weight and keeps the one with the least
/// squared error, weighted by the square of the weights (large weights matter more). For given codes
/// the best scale is the least-squares one, `sum(w x q) / sum(w q^2)`.
fn best_scale(x: &[f32], levels: i32) -> f32 {
    let extreme = x.iter().copied().fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    if extreme == 0.0 {
        return 0.0;
    }
    let unit = unit(extreme);
    let extreme = extreme / unit;
    let (mut best, mut best_gain) = (0.0, 0.0);
    for step in -9..=9 {
        // The largest weight maps to the end of the grid that has one code more.
        let inverse = -(levels as f32 + 0.1 * step as f32) / extreme;
        let (mut wxq, mut wqq) = (0.0f32, 0.0f32);
        for x in x.iter().map(|x| x / unit) {
            let q = (inverse * x).round_ties_even().clamp(-levels as f32, (levels - 1) as f32);
            wxq += x * x * x * q;
            wqq += x * x * q * q;
        }
        // The error is a constant minus wxq^2 / wqq.
        if wqq > 0.0 && wxq * wxq > best_gain * wqq {
            best_gain = wxq * wxq / wqq;
            best = wxq / wqq;
        }
    }
    best * unit
}

/// The grid `scale * code - min` that fits the 32 weights `x` best: codes from 0 to `levels`,
/// `min >= 0`.
fn best_scale_and_min(x: &[f32; 32], levels: i32) -> (f32, f32) {
    let largest = x.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    if largest == 0.0 {
        return (0.0, 0.0);
    }
    let unit = unit(largest);
    let (scale, min) = best_line(&x.map(|x| x / unit), levels);
    (scale * unit, min * unit)
}

/// [`best_scale_and_min`] of weights between -2 and 2 that are not all 0.
fn best_line(x: &[f32; 32], levels: i32) -> (f32, f32) {
    let low = x.iter().copied().fold(0.0f32, f32::min);
    let high = x.iter().copied().fold(0.0f32, f32::max);
    let rms = (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt();
    let (mut best, mut best_error) = ((0.0, -low), f32::INFINITY);
    for step in 0..=20 {
        let inverse = (levels as f32 - 1.0 + 0.1 * step as f32) / (high - low);
        let code = |x: f32| (inverse * (x - low)).round_ties_even().clamp(0.0, levels as f32);
        let (scale, min) = fit_line(x, rms, code);
        let error: f32 = x
            .iter()
            .map(|&x| {
                let difference = scale * code(x) - min - x;
                (rms + x.abs()) * difference * difference
            })
            .sum();
        if error < best_error {
            (best, best_error) = ((scale, min), error);
        }
    }
    best
}

/// Weighted least squares of `x = scale * code - min` with `min >= 0`.
fn fit_line(x: &[f32; 32], rms: f32, code: impl Fn(f32) -> f32) -> (f32, f32) {
    let (mut sw, mut sx, mut sq, mut sqq, mut sxq) = (0.0f32, 0.0f32, 0.0f32, 0.0f32, 0.0f32);
    for &x in x {
        let (w, q) = (rms + x.abs(), code(x));
        sw += w;
        sx += w * x;
        sq += w * q;
        sqq += w * q * q;
        sxq += w * x * q;
    }
    let determinant = sw * sqq - sq * sq;
    if determinant > 0.0 {
        let scale = (sw * sxq - sx * sq) / determinant;
        let offset = (sqq * sx - sq * sxq) / determinant;
        if offset <= 0.0 {
            return (scale, -offset);
        }
    }
    (if sqq > 0.0 { sxq / sqq } else { 0.0 }, 0.0)
}

/// Writes a scale as f16 and gives the value it became.
fn put_scale(out: &mut [u8], at: usize, scale: f32) -> f32 {
    let half = half::f16::from_f32(scale);
    out[at..at + 2].copy_from_slice(&half.to_le_bytes());
    half.to_f32()
}

/// The nearest code of `x` on a grid of `scale`, or 0 where there is no grid.
fn nearest(x: f32, scale: f32, low: i32, high: i32) -> i32 {
    if scale == 0.0 {
        return low.max(0);
    }
    ((x / scale).round_ties_even() as i32).clamp(low, high)
}
