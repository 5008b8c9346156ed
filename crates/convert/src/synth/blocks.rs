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
/// Root mean square of a uniform 5-bit code less 16, and of a uniform signed byte.
const CODE5: f32 = 9.25;
const CODE8: f32 = 73.9;
/// Root mean square of a uniform number from 32 to 63, and from 64 to 127.
const SCALE5: f32 = 48.39;
const SCALE6: f32 = 97.26;

/// Fills `row` with weights of mean 0 and standard deviation `std`; `wide` is a buffer of `cols`.
pub(super) fn random_row(ty: WeightType, std: f32, stream: &mut Stream, wide: &mut [f32], row: &mut [u8]) {
    let blocks = row.chunks_exact_mut(ty.block_bytes());
    match ty {
        WeightType::Q4_K => blocks.for_each(|block| q4_k(std, stream, block)),
        WeightType::Q6_K => blocks.for_each(|block| q6_k(std, stream, block)),
        WeightType::Q5_0 => blocks.for_each(|block| plain(std / CODE5, stream, block)),
        WeightType::Q8_0 => blocks.for_each(|block| plain(std / CODE8, stream, block)),
        _ => {
            wide.iter_mut().for_each(|weight| *weight = std * stream.normal());
            quantize_row(ty, wide, row).expect("small finite weights fit every type that is written");
        }
    }
}

/// Quantises planted weights on symmetric grids that span each sub-block: a hundred times faster than
/// the search for the best grids, and as good for numbers that are spread evenly.
pub(super) fn planted_row(ty: WeightType, wide: &[f32], row: &mut [u8]) {
    let blocks = wide.chunks(ty.block_weights()).zip(row.chunks_exact_mut(ty.block_bytes()));
    match ty {
        WeightType::Q4_K => blocks.for_each(|(x, block)| planted_q4_k(x, block)),
        WeightType::Q6_K => blocks.for_each(|(x, block)| planted_q6_k(x, block)),
        _ => quantize_row(ty, wide, row).expect("planted weights are small and finite"),
    }
}

fn fill(stream: &mut Stream, out: &mut [u8]) {
    let words = out.as_chunks_mut::<8>().0;
    words.iter_mut().for_each(|word| *word = stream.bits().to_le_bytes());
}

/// A scale and codes that are all valid: 32-weight blocks without a minimum. The codes' mean is half a
/// code below zero, so the scale takes either sign.
fn plain(d: f32, stream: &mut Stream, block: &mut [u8]) {
    // Codes first: whole words of bits, of which the last may reach past the block.
    block[2..].chunks_mut(8).for_each(|out| out.copy_from_slice(&stream.bits().to_le_bytes()[..out.len()]));
    put(block, 0, if stream.bits() & 1 == 0 { d } else { -d });
}

fn put(out: &mut [u8], at: usize, scale: f32) {
    out[at..at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
}

/// `w = d * scale * (code - 7.5)`: the minimum of a sub-block is 7.5 of its scales.
fn q4_k(std: f32, stream: &mut Stream, block: &mut [u8]) {
    let bits = stream.bits();
    put_scales(block, std / (CODE4 * SCALE5), |g| 32 + ((bits >> (8 * g)) & 31) as u8);
    fill(stream, &mut block[16..]);
}

/// Writes `d` and the scales of the eight sub-blocks, each with a minimum of 7.5 scales, packed as
/// `hotset_kernels` reads them.
fn put_scales(block: &mut [u8], d: f32, scale: impl Fn(usize) -> u8) {
    put(block, 0, d);
    put(block, 2, 7.5 * d);
    for g in 0..4 {
        let (low, high) = (scale(g), scale(g + 4));
        block[4 + g] = low | (high >> 4) << 6;
        block[8 + g] = low | (high >> 4) << 6;
        block[12 + g] = (high & 15) | (high & 15) << 4;
    }
}

fn planted_q4_k(x: &[f32], block: &mut [u8]) {
    let subs = x.as_chunks::<32>().0;
    let spans: [f32; 8] = std::array::from_fn(|g| largest(&subs[g]) / 7.5);
    let d = f16::from_f32(largest(&spans) / 63.0).to_f32().max(TINY);
    let scale = |g: usize| (spans[g] / d).round().clamp(1.0, 63.0);
    put_scales(block, d, |g| scale(g) as u8);
    for pair in 0..4 {
        let (low, high) = (&subs[2 * pair], &subs[2 * pair + 1]);
        let (a, b) = (1.0 / (d * scale(2 * pair)), 1.0 / (d * scale(2 * pair + 1)));
        let code = |x: f32| (x + 8.0).clamp(0.0, 15.0) as u8;
        for (i, byte) in block[16 + 32 * pair..48 + 32 * pair].iter_mut().enumerate() {
            *byte = code(low[i] * a) | code(high[i] * b) << 4;
        }
    }
}

/// No scale is smaller: a block of zeros needs one too.
const TINY: f32 = 1e-6;

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

fn planted_q6_k(x: &[f32], block: &mut [u8]) {
    let subs = x.as_chunks::<16>().0;
    let spans: [f32; 16] = std::array::from_fn(|g| largest(&subs[g]) / 31.5);
    let d = f16::from_f32(largest(&spans) / 127.0).to_f32().max(TINY);
    put(block, 208, d);
    let mut codes = [0u8; 256];
    for (g, sub) in subs.iter().enumerate() {
        let scale = (spans[g] / d).round().clamp(1.0, 127.0);
        block[192 + g] = scale as u8;
        let inverse = 1.0 / (d * scale);
        let codes = &mut codes[16 * g..16 * g + 16];
        codes.iter_mut().zip(sub).for_each(|(code, x)| *code = (x * inverse + 32.5).clamp(0.0, 63.0) as u8);
    }
    for half in 0..2 {
        let code = |group: usize, i: usize| codes[half * 128 + group * 32 + i];
        for i in 0..32 {
            block[half * 64 + i] = code(0, i) & 15 | (code(2, i) & 15) << 4;
            block[half * 64 + 32 + i] = code(1, i) & 15 | (code(3, i) & 15) << 4;
            block[128 + half * 32 + i] =
                (0..4).fold(0, |bits, group| bits | (code(group, i) >> 4) << (2 * group));
        }
    }
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
    fn planted_rows_read_back_close() {
        const COLS: usize = 512;
        let mut stream = Stream::named(&[8]);
        let mut planted = vec![0.0; COLS];
        planted.iter_mut().enumerate().for_each(|(i, x)| *x = stream.flat() * (1 + i / 100) as f32 * 0.01);
        for (ty, most) in [(WeightType::Q4_K, 0.1), (WeightType::Q6_K, 0.025), (WeightType::Q8_0, 0.01)] {
            let mut row = vec![0; ty.row_bytes(COLS).unwrap().index()];
            let mut found = vec![0.0; COLS];
            planted_row(ty, &planted, &mut row);
            dequantize_row(ty, &row, &mut found);
            let square = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>();
            let error = square(&mut planted.iter().zip(&found).map(|(a, b)| a - b));
            let size = square(&mut planted.iter().copied());
            assert!((error / size).sqrt() < most, "{ty}: {}", (error / size).sqrt());
            planted_row(ty, &[0.0; COLS], &mut row);
            dequantize_row(ty, &row, &mut found);
            assert!(found.iter().all(|x| x.abs() < 1e-3), "{ty}");
        }
    }

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
