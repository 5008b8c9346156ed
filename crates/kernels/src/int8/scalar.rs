//! The definition, written down without any instruction-set extension.

use super::block::GROUPS;
use super::{Int8Block, Int8Format, SUMS};
use crate::format::GROUP;
use crate::half_float::scale_at;
use crate::tree::reduce;

/// `row . x`
pub(super) fn dot<Q: Int8Format>(row: &[u8], x: &[Int8Block]) -> f32 {
    let mut sums = [0.0; SUMS];
    for (step, x) in row.chunks(Q::STEP).zip(x) {
        if Q::WEIGHTS == GROUP {
            small_blocks::<Q>(step, x, &mut sums);
        } else {
            large_block::<Q>(step, x, &mut sums);
        }
    }
    reduce(sums)
}

/// A block of 256 weights.
fn large_block<Q: Int8Format>(block: &[u8], x: &Int8Block, sums: &mut [f32; SUMS]) {
    let (mut products, mut biases, mut minima) = ([0i32; 8], [0i32; 8], [0i32; 8]);
    for (g, codes) in x.codes.as_chunks::<GROUP>().0.iter().enumerate() {
        let stored = Q::stored(block, g);
        for half in 0..2 {
            let at = half * GROUPS + g;
            let (multiplier, sum) = (i32::from(x.multipliers[at]), i32::from(x.sums[at]));
            let factor = Q::sub_scale(block, g, half) * multiplier;
            for i in half * GROUP / 2..(half + 1) * GROUP / 2 {
                products[i / 4] += factor * i32::from(stored[i]) * i32::from(codes[i]);
            }
            biases[at / 2] += factor * sum;
            minima[at / 2] += Q::sub_min(block, g, half) * multiplier * sum;
        }
    }
    let scale = scale_at(block, Q::D) * x.scale;
    for l in 0..8 {
        let product = products[l] - i32::from(Q::BIAS) * biases[l];
        sums[l] = scale.mul_add(product as f32, sums[l]);
    }
    if let Some(at) = Q::DMIN {
        let scale = scale_at(block, at) * x.scale;
        for l in 0..8 {
            sums[8 + l] = (-scale).mul_add(minima[l] as f32, sums[8 + l]);
        }
    }
}

/// Up to eight blocks of 32 weights.
fn small_blocks<Q: Int8Format>(blocks: &[u8], x: &Int8Block, sums: &mut [f32; SUMS]) {
    for (g, block) in blocks.chunks_exact(Q::BYTES).enumerate() {
        let (weights, codes) = (Q::codes(block, 0), &x.codes.as_chunks::<GROUP>().0[g]);
        let mut products = [0i32; 8];
        for i in 0..GROUP {
            let multiplier = i32::from(x.multipliers[i / 16 * GROUPS + g]);
            products[i / 4] += multiplier * i32::from(weights[i]) * i32::from(codes[i]);
        }
        let scale = scale_at(block, Q::D) * x.scale;
        for l in 0..8 {
            let sum = &mut sums[8 * (g % 2) + l];
            *sum = scale.mul_add(products[l] as f32, *sum);
        }
    }
}
