//! Quantising: the error it leaves, and what it refuses.

mod common;

use common::Random;
use hotset_base::WeightType;
use hotset_kernels::{QuantizeError, dequantize_row, quantize_row};
use proptest::prelude::*;

fn round_trip(ty: WeightType, x: &[f32]) -> Result<Vec<f32>, QuantizeError> {
    let mut row = vec![0; ty.row_bytes(x.len()).unwrap().index()];
    quantize_row(ty, x, &mut row)?;
    let mut back = vec![f32::NAN; x.len()];
    dequantize_row(ty, &row, &mut back);
    Ok(back)
}

/// The sum of three uniforms: near enough to the bell that weights have.
fn bell(random: &mut Random, spread: f32) -> f32 {
    (0..3).map(|_| random.number()).sum::<f32>() * spread
}

fn relative_rms(found: &[f32], x: &[f32]) -> f32 {
    let error: f32 = found.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum();
    (error / x.iter().map(|x| x * x).sum::<f32>()).sqrt()
}

/// Relative RMS error on bell-shaped weights, measured and rounded up.
const BOUNDS: [(WeightType, f32); 12] = [
    (WeightType::F32, 0.0),
    (WeightType::F16, 1e-3),
    (WeightType::BF16, 4e-3),
    (WeightType::Q8_0, 8e-3),
    (WeightType::Q6_K, 0.026),
    (WeightType::Q5_K, 0.045),
    (WeightType::Q5_0, 0.06),
    (WeightType::Q5_1, 0.05),
    (WeightType::Q4_K, 0.09),
    (WeightType::Q4_0, 0.12),
    (WeightType::Q4_1, 0.1),
    (WeightType::IQ4_NL, 0.1),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_error_stays_in_bounds(seed in any::<u64>(), spread in 1e-2f32..10.0) {
        let mut random = Random(seed);
        let x: Vec<f32> = (0..512).map(|_| bell(&mut random, spread)).collect();
        for (ty, bound) in BOUNDS {
            let found = relative_rms(&round_trip(ty, &x).unwrap(), &x);
            prop_assert!(found <= bound, "{ty}: {found} > {bound}");
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
            match round_trip(ty, x) {
                Ok(back) => assert!(back.iter().all(|w| w.is_finite()), "{ty}"),
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
        assert_eq!(round_trip(WeightType::Q4_K, &x), Err(QuantizeError::NotFinite { at: 40 }));
    }
}

#[test]
fn the_error_does_not_depend_on_the_unit() {
    // Powers of two far from 1 that the f16 scales of every type can still hold.
    let mut random = Random(7);
    let x: Vec<f32> = (0..512).map(|_| bell(&mut random, 1.0)).collect();
    for (ty, bound) in BOUNDS {
        for unit in [2f32.powi(-6), 2f32.powi(9)] {
            let scaled: Vec<f32> = x.iter().map(|x| x * unit).collect();
            let found = relative_rms(&round_trip(ty, &scaled).unwrap(), &scaled);
            assert!(found <= bound, "{ty} times {unit}: {found} > {bound}");
        }
    }
}

#[test]
fn weights_too_large_for_the_type_are_refused() {
    let mut x = vec![1.0; 512];
    x[300] = 3e38;
    for (ty, _) in BOUNDS.into_iter().filter(|(ty, _)| !matches!(ty, WeightType::F32 | WeightType::BF16)) {
        let weights = ty.block_weights();
        match round_trip(ty, &x).map(drop) {
            Err(QuantizeError::TooLarge { ty: named, at }) => {
                assert_eq!((named, at / weights), (ty, 300 / weights));
            }
            other => panic!("{ty}: {other:?}"),
        }
    }
    assert_eq!(
        round_trip(WeightType::BF16, &[f32::MAX]),
        Err(QuantizeError::TooLarge { ty: WeightType::BF16, at: 0 })
    );
}
