//! Random quantised rows, made as blocks: valid scales and random codes. Quantising random floats
//! would give the same kind of bytes a hundred times slower.

use half::f16;
use hotset_base::WeightType;
use hotset_kernels::quantize_row;

use super::random::Stream;

/// Standard deviation of a uniform 4-bit code around its middle, 7.5.
const CODE4: f32 = 4.61;
/// Root mean square of a uniform 6-bit code less 32.
const CODE6: f32 = 18.48;
/// Root mean square of a uniform number from 32 to 63, and from 64 to 127.
const SCALE5: f32 = 48.39;
const SCALE6: f32 = 97.26;

/// Fills `row` with weights of mean 0 and standard deviation `std`; `wide` is a buffer of `cols`.
pub(super) fn random_row(ty: WeightType, std: f32, stream: &mut Stream, wide: &mut [f32], row: &mut [u8]) {
    let blocks = row.chunks_exact_mut(ty.block_bytes());
    match ty {
        WeightType::Q4_K => blocks.for_each(|block| q4_k(std, stream, block)),
        WeightType::Q6_K => blocks.for_each(|block| q6_k(std, stream, block)),
        _ => {
            wide.iter_mut().for_each(|weight| *weight = std * stream.normal());
            quantize_row(ty, wide, row).expect("small finite weights fit every type that is written");
        }
    }
}

fn fill(stream: &mut Stream, out: &mut [u8]) {
    let words = out.as_chunks_mut::<8>().0;
    words.iter_mut().for_each(|word| *word = stream.bits().to_le_bytes());
}

fn put(out: &mut [u8], at: usize, scale: f32) {
    out[at..at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
}

/// `w = d * scale * (code - 7.5)`: the minimum of a sub-block is 7.5 of its scales.
fn q4_k(std: f32, stream: &mut Stream, block: &mut [u8]) {
    let d = std / (CODE4 * SCALE5);
    put(block, 0, d);
    put(block, 2, 7.5 * d);
    let bits = stream.bits();
    let scale = |g: usize| 32 + ((bits >> (8 * g)) & 31) as u8;
    // The packing that `hotset_kernels` reads, with the minimum's code equal to the scale's.
    for g in 0..4 {
        let (low, high) = (scale(g), scale(g + 4));
        block[4 + g] = low | (high >> 4) << 6;
        block[8 + g] = low | (high >> 4) << 6;
        block[12 + g] = (high & 15) | (high & 15) << 4;
    }
    fill(stream, &mut block[16..]);
}

/// `w = d * scale * (code - 32)`, scales of either sign.
fn q6_k(std: f32, stream: &mut Stream, block: &mut [u8]) {
    fill(stream, &mut block[..192]);
    for half in 0..2 {
        let bits = stream.bits();
        for i in 0..8 {
            let byte = (bits >> (8 * i)) as u8;
            let size = 64 + (byte & 63) as i8;
            block[192 + 8 * half + i] = if byte & 128 == 0 { size } else { -size } as u8;
        }
    }
    put(block, 208, std / (CODE6 * SCALE6));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_kernels::dequantize_row;

    #[test]
    fn rows_read_back_with_the_wanted_deviation() {
        const COLS: usize = 256 * 64;
        for ty in [WeightType::Q4_K, WeightType::Q6_K, WeightType::Q5_0, WeightType::Q8_0, WeightType::F16] {
            let mut row = vec![0; ty.row_bytes(COLS).unwrap().index()];
            let mut wide = vec![0.0; COLS];
            random_row(ty, 0.02, &mut Stream::named(&[7]), &mut wide, &mut row);
            dequantize_row(ty, &row, &mut wide);
            let mean = wide.iter().sum::<f32>() / COLS as f32;
            let rms = (wide.iter().map(|w| w * w).sum::<f32>() / COLS as f32).sqrt();
            assert!(mean.abs() < 0.001 && (rms - 0.02).abs() < 0.001, "{ty}: {mean} {rms}");
        }
    }
}
