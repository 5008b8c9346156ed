//! Operations on vectors against the plainest way to write them.

mod common;

use common::{Random, same};
use hotset_kernels::{
    axpy, f32_to_f16_row, multiply_add_f16, multiply_add_f32, rms_norm, rms_norm_in_place, silu,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn products_of_matrices_are_sums_in_order(
        seed in any::<u64>(), m in 0usize..6, k in 0usize..70, n in 0usize..100, beyond in 0usize..40,
    ) {
        let mut random = Random(seed);
        let halves: Vec<u16> = (0..k * (n + beyond)).map(|_| random.bits() as u16).collect();
        let wide: Vec<f32> = halves.iter().map(|b| half::f16::from_bits(*b).to_f32()).collect();
        let (a, start) = (random.numbers(m * (k + beyond)), random.numbers(m * (n + beyond)));
        let (mut from_halves, mut from_wide) = (start.clone(), start.clone());
        multiply_add_f16((m, k, n), &a, &halves, &mut from_halves);
        multiply_add_f32((m, k, n), &a, &wide, &mut from_wide);
        for (i, j) in (0..m).flat_map(|i| (0..n + beyond).map(move |j| (i, j))) {
            let at = i * (n + beyond) + j;
            let counted = if j < n { 0..k } else { 0..0 };
            let product = |sum, l| f32::mul_add(a[i * (k + beyond) + l], wide[l * (n + beyond) + j], sum);
            let expected = counted.fold(start[at], product);
            prop_assert!(same(expected, from_halves[at]) && same(expected, from_wide[at]), "{i}, {j}");
        }
    }

    #[test]
    fn an_axpy_is_fused(seed in any::<u64>(), len in 0usize..200, a in -3f32..3.0) {
        let mut random = Random(seed);
        let (x, start) = (random.numbers(len), random.numbers(len));
        let mut y = start.clone();
        axpy(a, &x, &mut y);
        prop_assert!((0..len).all(|i| same(a.mul_add(x[i], start[i]), y[i])));
    }

    #[test]
    fn rounding_to_halves_is_to_nearest(bits in proptest::collection::vec(any::<u32>(), 0..70)) {
        let x: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let mut found = vec![0; x.len()];
        f32_to_f16_row(&x, &mut found);
        for (found, x) in found.iter().zip(&x) {
            let expected = half::f16::from_f32_const(*x);
            let found = half::f16::from_bits(*found);
            prop_assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && x.is_nan()), "{x}");
        }
    }

    #[test]
    fn the_norm_is_near_its_definition(seed in any::<u64>(), len in 1usize..300) {
        let mut random = Random(seed);
        let (x, weight) = (random.numbers(len), random.numbers(len));
        let mut out = vec![0.0; len];
        rms_norm(&x, &weight, 1e-6, &mut out);
        let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / len as f64;
        for i in 0..len {
            let expected = f64::from(x[i]) / (mean + 1e-6).sqrt() * f64::from(weight[i]);
            prop_assert!((f64::from(out[i]) - expected).abs() <= 1e-5 * expected.abs().max(1e-3));
        }
        let mut same_place = x.clone();
        rms_norm_in_place(&mut same_place, &weight, 1e-6);
        prop_assert!(same_place == out);
    }
}

proptest! {
    #[test]
    fn silu_is_near_the_exact_value(numbers in proptest::collection::vec(-30f32..30.0, 0..40)) {
        let mut found = numbers.clone();
        silu(&mut found);
        for (x, found) in numbers.into_iter().map(f64::from).zip(found) {
            let exact = x / (1.0 + (-x).exp());
            prop_assert!((f64::from(found) - exact).abs() <= 1e-6 * exact.abs(), "silu({x}) = {found}, not {exact}");
        }
    }
}

#[test]
fn silu_survives_large_numbers() {
    let mut x = [200.0, -200.0, 0.0, f32::INFINITY, f32::NAN];
    silu(&mut x);
    assert_eq!(x[..4], [200.0, 0.0, 0.0, f32::INFINITY]);
    assert!(x[4].is_nan());
}
