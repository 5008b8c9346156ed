//! Every weight type: golden values from another implementation, and the fast path against the slow
//! one on fresh random blocks.

use std::path::Path;

use hotset_base::WeightType;
use hotset_kernels::{QuantizeError, dequantize_row, dot, dot_f32, quantize_row, scalar};
use proptest::prelude::*;

/// Positions of the f16 numbers in a block.
fn scales(ty: WeightType) -> &'static [usize] {
    match ty {
        WeightType::Q2_K => &[80, 82],
        WeightType::Q3_K => &[108],
        WeightType::Q6_K => &[208],
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => &[0, 2],
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => &[],
        _ => &[0],
    }
}

fn values(ty: WeightType, row: &[u8], len: usize, fast: bool) -> Vec<f32> {
    let mut out = vec![f32::NAN; len];
    if fast {
        dequantize_row(ty, row, &mut out)
    } else {
        scalar::dequantize_row(ty, row, &mut out)
    }
    out
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn block_types_have_the_values_another_implementation_gives() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for ty in WeightType::all().filter(|ty| ty.block_weights() > 1) {
        let file = std::fs::read(golden.join(format!("{ty}.bin"))).unwrap();
        let weights = u32::from_le_bytes(file[..4].try_into().unwrap()) as usize;
        let (row, expected) = file[4..].split_at(ty.row_bytes(weights).unwrap().index());
        let expected = expected.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        for fast in [false, true] {
            let found = values(ty, row, weights, fast);
            for (i, (found, expected)) in found.iter().zip(expected.clone()).enumerate() {
                // 0.0 and -0.0 are the same weight.
                assert!(*found == expected, "{ty} weight {i}, fast {fast}: {found} is not {expected}");
            }
        }
    }
}

/// Random rows of every type: any bytes, scales of every kind including zero, subnormal, Inf and NaN.
fn rows() -> impl Strategy<Value = (WeightType, Vec<u8>, Vec<f32>)> {
    let types: Vec<WeightType> = WeightType::all().collect();
    (proptest::sample::select(types), 1usize..5, 0usize..32, any::<u64>(), 0u8..8).prop_map(
        |(ty, blocks, tail, seed, wildness)| {
            let tail = if ty.block_weights() == 1 { tail } else { 0 };
            let cols = blocks * ty.block_weights().max(32) + tail;
            let mut state = seed;
            let mut next = move || {
                // Source: splitmix64, Steele et al. 2014.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            };
            let mut row: Vec<u8> = (0..ty.row_bytes(cols).unwrap().index()).map(|_| next() as u8).collect();
            for block in row.chunks_exact_mut(ty.block_bytes()) {
                for &at in scales(ty) {
                    let tame = half::f16::from_f32((next() as i16) as f32 * 1e-6).to_bits();
                    let bits = if wildness == 0 { next() as u16 } else { tame };
                    block[at..at + 2].copy_from_slice(&bits.to_le_bytes());
                }
            }
            let x = (0..cols).map(|_| (next() as i32) as f32 * 1e-9).collect();
            (ty, row, x)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn fast_and_slow_agree_bit_for_bit((ty, row, x) in rows()) {
        let slow = values(ty, &row, x.len(), false);
        let fast = values(ty, &row, x.len(), true);
        prop_assert!(slow.iter().zip(&fast).all(|(a, b)| same(*a, *b)), "{ty}: values");
        let sum = scalar::dot(ty, &row, &x);
        prop_assert!(same(sum, dot(ty, &row, &x)), "{ty}: dot");
        // Straight from blocks or from the widened row: the same order, the same bits.
        prop_assert!(same(sum, dot_f32(&slow, &x)), "{ty}: dot of the widened row");
    }

    #[test]
    fn sums_are_near_the_exact_ones((ty, row, x) in rows()) {
        let wide = values(ty, &row, x.len(), false);
        prop_assume!(wide.iter().all(|w| w.abs() < 1e6));
        let products = || wide.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x));
        let bound = products().map(f64::abs).sum::<f64>() * 1e-5;
        prop_assert!((f64::from(dot(ty, &row, &x)) - products().sum::<f64>()).abs() <= bound);
    }

    #[test]
    fn quantising_keeps_the_error_in_bounds(
        seed in any::<u64>(),
        spread in 1e-3f32..10.0,
    ) {
        let mut state = seed;
        let x: Vec<f32> = (0..512).map(|_| {
            // The sum of three uniforms is near enough to the bell that weights have.
            (0..3).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 33) as f32 / 2f32.powi(31) - 0.5) * spread
            }).sum()
        }).collect();
        // Relative RMS error: about 1 / (levels x crest factor) of each type, measured and rounded up.
        let bounds = [
            (WeightType::F32, 0.0), (WeightType::F16, 1e-3), (WeightType::BF16, 4e-3), (WeightType::Q8_0, 8e-3),
            (WeightType::Q6_K, 0.026), (WeightType::Q5_K, 0.045), (WeightType::Q5_0, 0.06), (WeightType::Q5_1, 0.05),
            (WeightType::Q4_K, 0.09), (WeightType::Q4_0, 0.12), (WeightType::Q4_1, 0.1),
        ];
        for (ty, bound) in bounds {
            let mut row = vec![0; ty.row_bytes(x.len()).unwrap().index()];
            quantize_row(ty, &x, &mut row).unwrap();
            let back = values(ty, &row, x.len(), true);
            let error: f32 = back.iter().zip(&x).map(|(a, b)| (a - b) * (a - b)).sum();
            let relative = (error / x.iter().map(|x| x * x).sum::<f32>()).sqrt();
            prop_assert!(relative <= bound, "{ty}: {relative} > {bound}");
        }
    }
}

#[test]
fn degenerate_rows_quantise_to_something_finite() {
    let rows: [Vec<f32>; 5] = [
        vec![0.0; 256],
        vec![1.0; 256],
        vec![-3.5; 256],
        (0..256).map(|i| if i == 7 { 1e-30 } else { 0.0 }).collect(),
        (0..256).map(|i| if i % 2 == 0 { 6e4 } else { -6e4 }).collect(),
    ];
    for ty in WeightType::all() {
        for x in &rows {
            let mut row = vec![0; ty.row_bytes(256).unwrap().index()];
            match quantize_row(ty, x, &mut row) {
                Ok(()) => assert!(values(ty, &row, 256, true).iter().all(|w| w.is_finite()), "{ty}"),
                Err(error) => assert_eq!(error, QuantizeError::Unsupported(ty)),
            }
        }
    }
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = vec![1.0; 256];
        x[40] = bad;
        let mut row = vec![0; 144];
        assert_eq!(quantize_row(WeightType::Q4_K, &x, &mut row), Err(QuantizeError::NotFinite { at: 40 }));
    }
}
