//! The exponential function of many numbers.

use crate::cpu::multiversion;
use crate::tree::reduce;

/// Running sums of [`exp_sum`].
const SUMS: usize = 8;

multiversion! {
    /// Replaces every `x` by `exp(x - max)` and returns the sum: eight running sums, number `i` in sum `i % 8`,
    /// then a tree.
    pub fn exp_sum(numbers: &mut [f32], max: f32) -> f32 = exp_sum_body;
}

#[inline(always)]
fn exp_sum_body(numbers: &mut [f32], max: f32) -> f32 {
    let mut sums = [0.0; SUMS];
    let (eights, tail) = numbers.as_chunks_mut::<SUMS>();
    for eight in eights {
        for (x, sum) in eight.iter_mut().zip(&mut sums) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    for (x, sum) in tail.iter_mut().zip(&mut sums) {
        *x = exp(*x - max);
        *sum += *x;
    }
    reduce(sums)
}

/// `e^x` to 2 units in the last place where it is a normal number; smaller ones are 0, larger ones infinite.
///
/// `x = n ln 2 + r` with `n` whole and `|r| <= ln 2 / 2`; `e^r` is a polynomial (coefficients: Cephes, `expf`).
/// No branch and no library call, so that loops over it vectorise.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the coefficients as published")]
pub(crate) fn exp(x: f32) -> f32 {
    /// `e^x` is at least the smallest normal number, and finite.
    const NORMAL: std::ops::RangeInclusive<f32> = -87.336_54..=88.722_83;
    /// Added to a number below 2^22 it leaves no bits for a fraction: the nearest whole number stays.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let mut p = 1.987_569_15e-4f32;
    for c in [1.398_199_95e-3, 8.333_451_9e-3, 4.166_579_6e-2, 1.666_666_55e-1, 5.000_000_1e-1] {
        p = p.mul_add(r, c);
    }
    let e_r = p.mul_add(r * r, r) + 1.0;
    // 2^n in two factors: 2^128 and 2^-127 are not normal numbers.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let half = n >> 1;
    let y = e_r * power(half.clamp(-126, 127)) * power((n - half).clamp(-126, 127));
    let beyond = if x > 0.0 { f32::INFINITY } else { 0.0 };
    // A NaN is in no range and is passed on.
    let outside = if x.is_nan() { x } else { beyond };
    if NORMAL.contains(&x) { y } else { outside }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn within_two_units_of_the_exact_value(x in -87.3f32..88.7) {
            let exact = f64::from(x).exp();
            let unit = f64::from(f32::EPSILON) * exact;
            prop_assert!((f64::from(exp(x)) - exact).abs() <= 2.0 * unit, "exp({x}) = {}, not {exact}", exp(x));
        }

        #[test]
        fn every_level_gives_the_same_bits(numbers in proptest::collection::vec(-100f32..0.5, 0..200)) {
            let (mut fast, mut slow) = (numbers.clone(), numbers);
            let sums = [exp_sum(&mut fast, 0.5), exp_sum_body(&mut slow, 0.5)];
            prop_assert_eq!(fast.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                slow.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            prop_assert_eq!(sums[0].to_bits(), sums[1].to_bits());
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(
            (exp(0.0), exp(-0.0), exp(f32::NEG_INFINITY), exp(f32::INFINITY)),
            (1.0, 1.0, 0.0, f32::INFINITY)
        );
        assert_eq!((exp(-88.0), exp(-1e30), exp(89.0), exp(1e30)), (0.0, 0.0, f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }
}
