//! Every weight type: golden values from another implementation, the fast path against the slow one,
//! and both against the order that `dot` documents, on fresh random blocks.

mod common;

use std::path::Path;

use common::{Random, Scales, same, shifted, weights};
use hotset_base::WeightType;
use hotset_kernels::{dequantize_row, dot, dot_f32, scalar};
use proptest::prelude::*;

fn values(ty: WeightType, row: &[u8], len: usize, fast: bool) -> Vec<f32> {
    let mut out = vec![f32::NAN; len];
    if fast {
        dequantize_row(ty, row, &mut out)
    } else {
        scalar::dequantize_row(ty, row, &mut out)
    }
    out
}

/// The documented order, written down once more as plainly as possible.
fn documented_dot(w: &[f32], x: &[f32]) -> f32 {
    let mut acc = [0.0f32; 32];
    for i in 0..w.len() {
        acc[i % 32] = w[i].mul_add(x[i], acc[i % 32]);
    }
    for stride in [16, 8, 4, 2, 1] {
        for lane in 0..stride {
            acc[lane] += acc[lane + stride];
        }
    }
    acc[0]
}

#[test]
fn block_types_have_the_values_another_implementation_gives() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for ty in WeightType::all().filter(|ty| ty.block_weights() > 1) {
        let file = std::fs::read(golden.join(format!("{ty}.bin"))).unwrap();
        let weights = u32::from_le_bytes(file[..4].try_into().unwrap()) as usize;
        let (row, expected) = file[4..].split_at(ty.row_bytes(weights).unwrap().index());
        let expected = expected.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        assert_eq!(expected.len(), weights);
        for fast in [false, true] {
            let found = values(ty, row, weights, fast);
            for (i, (found, expected)) in found.iter().zip(expected.clone()).enumerate() {
                // 0.0 and -0.0 are the same weight.
                let agree = *found == expected || (found.is_nan() && expected.is_nan());
                assert!(agree, "{ty} weight {i}, fast {fast}: {found} is not {expected}");
            }
        }
    }
}

/// A row of every type: whole blocks for block types, any length for plain numbers.
fn rows() -> impl Strategy<Value = (WeightType, Vec<u8>, Vec<f32>)> {
    let types: Vec<WeightType> = WeightType::all().collect();
    (proptest::sample::select(types), 0usize..5, 0usize..32, any::<u64>(), 0u8..4).prop_map(
        |(ty, blocks, tail, seed, wildness)| {
            let tail = if ty.block_weights() == 1 { tail } else { 0 };
            let cols = blocks * ty.block_weights().max(32) + tail;
            let mut random = Random(seed);
            let scales = if wildness == 0 { Scales::Wild } else { Scales::Tame };
            let row = weights(ty, cols, scales, &mut random);
            let x = if wildness == 1 { random.any_numbers(cols) } else { random.numbers(cols) };
            (ty, row, x)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn fast_and_slow_and_documented_agree_bit_for_bit((ty, row, x) in rows()) {
        let slow = values(ty, &row, x.len(), false);
        let fast = values(ty, &row, x.len(), true);
        prop_assert!(slow.iter().zip(&fast).all(|(a, b)| same(*a, *b)), "{ty}: values");
        let sum = documented_dot(&slow, &x);
        prop_assert!(same(sum, scalar::dot(ty, &row, &x)), "{ty}: slow dot");
        prop_assert!(same(sum, dot(ty, &row, &x)), "{ty}: fast dot");
        let at = row.len() % 63;
        prop_assert!(same(sum, dot(ty, &shifted(&row, at)[at..], &x)), "{ty}: from any address");
        // Straight from blocks or from the widened row: the same bits.
        prop_assert!(same(sum, dot_f32(&slow, &x)), "{ty}: dot of the widened row");
    }

    #[test]
    fn sums_are_near_the_exact_ones((ty, row, x) in rows()) {
        let wide = values(ty, &row, x.len(), false);
        if !wide.iter().chain(&x).all(|w| w.abs() < 1e6) {
            return Ok(()); // a sum of them has no bound
        }
        let products = || wide.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x));
        let bound = products().map(f64::abs).sum::<f64>() * 1e-5;
        prop_assert!((f64::from(dot(ty, &row, &x)) - products().sum::<f64>()).abs() <= bound);
    }

    #[test]
    fn storage_of_the_same_numbers_makes_no_difference(seed in any::<u64>(), len in 0usize..300) {
        // Eight significant bits and small exponents: exact in all three plain types.
        let mut random = Random(seed);
        let w: Vec<f32> = (0..len).map(|_| (random.bits() as i8) as f32 / 64.0).collect();
        let x = random.numbers(len);
        let f32s: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
        let f16s: Vec<u8> = w.iter().flat_map(|w| half::f16::from_f32(*w).to_le_bytes()).collect();
        let bf16s: Vec<u8> = w.iter().flat_map(|w| half::bf16::from_f32(*w).to_le_bytes()).collect();
        let sum = dot(WeightType::F32, &f32s, &x).to_bits();
        prop_assert_eq!(sum, dot(WeightType::F16, &f16s, &x).to_bits());
        prop_assert_eq!(sum, dot(WeightType::BF16, &bf16s, &x).to_bits());
    }
}

#[test]
fn rows_of_the_wrong_length_are_refused() {
    for ty in WeightType::all() {
        let row = vec![0; ty.row_bytes(256).unwrap().index() - 1];
        let attempt = std::panic::catch_unwind(|| dot(ty, &row, &[0.0; 256]));
        assert!(attempt.is_err(), "{ty}");
    }
}
