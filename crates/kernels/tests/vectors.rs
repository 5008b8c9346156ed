//! Operations on vectors against the plainest way to write them.

mod common;

use common::{Random, same};
use hotset_kernels::{axpy, axpy_f16, dot_f16, dot_f32, f32_to_f16_row, rms_norm, rms_norm_in_place, silu};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn halves_stand_for_their_values(seed in any::<u64>(), len in 0usize..200, a in -3f32..3.0) {
        let mut random = Random(seed);
        let bits: Vec<u16> = (0..len).map(|_| random.bits() as u16).collect();
        let x = random.numbers(len);
        let wide: Vec<f32> = bits.iter().map(|b| half::f16::from_bits(*b).to_f32()).collect();
        prop_assert!(same(dot_f16(&bits, &x), dot_f32(&wide, &x)));
        let (mut y, mut z) = (x.clone(), x.clone());
        axpy_f16(a, &bits, &mut y);
        axpy(a, &wide, &mut z);
        let plain = (0..len).map(|i| a.mul_add(wide[i], x[i]));
        prop_assert!(plain.zip(&y).zip(&z).all(|((p, y), z)| same(p, *y) && same(p, *z)));
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

#[test]
fn silu_survives_large_numbers() {
    assert_eq!(silu(200.0), 200.0);
    assert_eq!(silu(-200.0), 0.0);
    assert_eq!(silu(0.0), 0.0);
}
