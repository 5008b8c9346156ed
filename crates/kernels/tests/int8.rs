//! Products in int8: the fast path against the slow one and against the definition, bit for bit; near the exact
//! products; and what happens to numbers that are none.

mod common;

use common::{Random, Scales, same, shifted, weights};
use hotset_base::WeightType;
use hotset_kernels::{Int8Block, dequantize_row, dot_int8, has_int8, int8_scalar, quantize_vector};
use proptest::prelude::*;

fn types() -> Vec<WeightType> {
    WeightType::all().filter(|ty| has_int8(*ty)).collect()
}

fn quantised(x: &[f32]) -> Vec<Int8Block> {
    let mut blocks = vec![Int8Block::ZERO; x.len().div_ceil(256)];
    quantize_vector(x, &mut blocks);
    blocks
}

/// Equal, counting a NaN as equal to itself.
fn same_blocks(a: &[Int8Block], b: &[Int8Block]) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// Numbers of very different sizes: every group of 32 in a unit of its own, some groups zero, some numbers
/// far larger than their neighbours.
fn uneven(len: usize, random: &mut Random) -> Vec<f32> {
    let mut x = random.numbers(len);
    for group in x.chunks_mut(32) {
        let unit = match random.bits() % 8 {
            0 => 0.0,
            n => 2f32.powi(n as i32 * 5 - 20),
        };
        group.iter_mut().for_each(|x| *x *= unit);
        if random.bits().is_multiple_of(4) {
            let at = random.bits() as usize % group.len();
            group[at] *= 1000.0;
        }
    }
    x
}

fn rows() -> impl Strategy<Value = (WeightType, Vec<u8>, Vec<f32>)> {
    (proptest::sample::select(types()), 0usize..20, any::<u64>(), 0u8..4).prop_map(
        |(ty, blocks, seed, wildness)| {
            let cols = if ty.block_weights() == 256 { blocks % 5 * 256 } else { blocks * 32 };
            let mut random = Random(seed);
            let scales = if wildness == 0 { Scales::Wild } else { Scales::Tame };
            let row = weights(ty, cols, scales, &mut random);
            (ty, row, uneven(cols, &mut random))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn fast_and_slow_agree_bit_for_bit((ty, row, x) in rows()) {
        let x = quantised(&x);
        let (fast, slow) = (dot_int8(ty, &row, &x), int8_scalar::dot_int8(ty, &row, &x));
        prop_assert!(same(fast, slow), "{ty}: {fast} is not {slow}");
        let at = row.len() % 63;
        prop_assert!(same(dot_int8(ty, &shifted(&row, at)[at..], &x), slow), "{ty}: from any address");
    }

    #[test]
    fn vectors_become_the_same_blocks_fast_and_slow(seed in any::<u64>(), len in 0usize..900, wild in 0u8..6) {
        let mut random = Random(seed);
        let x = match wild {
            // Any bits; only finite ones; or all of one magnitude, which puts ties everywhere.
            0 => random.any_numbers(len),
            1 => (0..len).map(|_| f32::from_bits(random.bits() as u32 & 0xbfff_ffff)).collect(),
            2 => (0..len).map(|_| (random.bits() % 255) as f32 / 2.0 - 63.5).collect(),
            _ => uneven(len, &mut random),
        };
        let mut slow = vec![Int8Block::ZERO; len.div_ceil(256)];
        int8_scalar::quantize_vector(&x, &mut slow);
        prop_assert!(same_blocks(&quantised(&x), &slow), "{len} numbers");
    }

    #[test]
    fn products_are_near_the_exact_ones((ty, row, x) in rows()) {
        let mut wide = vec![0.0; x.len()];
        dequantize_row(ty, &row, &mut wide);
        prop_assume!(wide.iter().all(|w| w.abs() < 1e6));
        let exact: f64 = wide.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        // Half a step for every number: of its 16's largest, or of the finest the block's scale has.
        let steps = x.chunks(256).zip(wide.chunks(256)).map(|(x, w)| {
            let largest = |x: &[f32]| x.iter().fold(0f32, |max, x| max.max(x.abs()));
            let finest = largest(x) / (127.0 * 31.0);
            let groups = x.chunks(16).zip(w.chunks(16));
            let of_group = |x: &[f32], w: &[f32]| {
                let step = largest(x) / 127.0 + finest;
                f64::from(step * 0.51 * w.iter().map(|w| w.abs()).sum::<f32>())
            };
            groups.map(|(x, w)| of_group(x, w)).sum::<f64>()
        });
        let sizes: f64 = wide.iter().zip(&x).map(|(w, x)| f64::from(w.abs()) * f64::from(x.abs())).sum();
        let found = f64::from(dot_int8(ty, &row, &quantised(&x)));
        let bound = steps.sum::<f64>() + sizes * 2e-5;
        prop_assert!((found - exact).abs() <= bound, "{ty}: {found} is not {exact}, bound {bound}");
    }
}

#[test]
fn the_largest_integers_do_not_overflow() {
    // All bytes of the weights equal, all numbers as large as they get, of one sign, of the other, and of both.
    for ty in types() {
        for byte in 0..=255u8 {
            let mut row = vec![byte; ty.row_bytes(256).unwrap().index()];
            common::set_scales(ty, &mut row, 1.0);
            for signs in
                [|_| 1.0, |_| -1.0, |i| if i % 32 < 16 { 1.0 } else { -1.0 }] as [fn(usize) -> f32; 3]
            {
                let x: Vec<f32> = (0..256).map(|i| signs(i) * 127.0 * 31.0).collect();
                let mut wide = vec![0.0; 256];
                dequantize_row(ty, &row, &mut wide);
                let exact: f64 = wide.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                let sizes: f64 = wide.iter().map(|w| f64::from(w.abs()) * 127.0 * 31.0).sum();
                let x = quantised(&x);
                let fast = dot_int8(ty, &row, &x);
                assert!(same(fast, int8_scalar::dot_int8(ty, &row, &x)), "{ty} of bytes {byte}");
                let error = (f64::from(fast) - exact).abs();
                assert!(error <= sizes * 1e-5 + 1e-3, "{ty} of bytes {byte}: {fast} is not {exact}");
            }
        }
    }
}

#[test]
fn a_number_that_is_none_spoils_every_row() {
    let mut random = Random(1);
    for ty in types() {
        let row = weights(ty, 512, Scales::Tame, &mut random);
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 31, 255, 256, 300, 511] {
                let mut x = random.numbers(512);
                x[at] = bad;
                let x = quantised(&x);
                assert!(dot_int8(ty, &row, &x).is_nan(), "{ty}, {bad} at {at}");
                assert!(int8_scalar::dot_int8(ty, &row, &x).is_nan(), "{ty}, {bad} at {at}");
            }
        }
    }
}

#[test]
fn any_unit_gives_the_same_codes() {
    let mut random = Random(5);
    let x = uneven(256, &mut random);
    let ty = WeightType::Q4_K;
    let row = weights(ty, 256, Scales::Tame, &mut random);
    let expected = dot_int8(ty, &row, &quantised(&x));
    for exponent in -40..=60 {
        let unit = 2f32.powi(exponent);
        let scaled: Vec<f32> = x.iter().map(|x| x * unit).collect();
        assert_eq!(dot_int8(ty, &row, &quantised(&scaled)), expected * unit, "2^{exponent}");
    }
    for tiny in [0.0, 1e-40, 9e-31] {
        assert_eq!(dot_int8(ty, &row, &quantised(&[tiny; 256])), 0.0);
    }
    let huge = dot_int8(WeightType::Q8_0, &[0; 34], &quantised(&[f32::MAX; 32]));
    assert_eq!(huge, 0.0, "the largest numbers are numbers");
}

#[test]
fn rows_of_the_wrong_length_are_refused() {
    for ty in types() {
        let x = [Int8Block::ZERO; 1];
        for row in
            [vec![0; ty.row_bytes(256).unwrap().index() - 1], vec![0; ty.row_bytes(512).unwrap().index()]]
        {
            assert!(std::panic::catch_unwind(|| dot_int8(ty, &row, &x)).is_err(), "{ty}");
        }
    }
    let plain = std::panic::catch_unwind(|| dot_int8(WeightType::F32, &[0; 1024], &[Int8Block::ZERO; 1]));
    assert!(plain.is_err());
}
