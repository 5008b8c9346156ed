//! Products of whole matrices: the same bits for any number of tokens and threads.

mod common;

use common::{Random, Scales, weights};
use hotset_base::WeightType;
use hotset_kernels::{
    Down, GateUp, Int8Block, Int8Buffer, Matrix, Pair, Pool, Vectors, activate, has_int8, int8_scalar,
    matmul, project, scalar, silu,
};
use proptest::prelude::*;

fn pools() -> Vec<Pool> {
    (1..=3).map(|threads| Pool::new(threads, 512).unwrap()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn width_of(ty: WeightType, odd: usize) -> usize {
    if ty.block_weights() == 1 { 64 + odd } else { 256 * (1 + odd % 2) }
}

fn any_type() -> impl Strategy<Value = WeightType> {
    proptest::sample::select(WeightType::all().collect::<Vec<_>>())
}

/// A row times a vector with the slow kernels.
fn times(m: Matrix<'_>, r: usize, x: &[f32], int8: bool) -> f32 {
    if !(int8 && has_int8(m.ty())) {
        return scalar::dot(m.ty(), m.row_bytes(r), x);
    }
    let mut blocks = vec![Int8Block::ZERO; x.len().div_ceil(256)];
    int8_scalar::quantize_vector(x, &mut blocks);
    int8_scalar::dot_int8(m.ty(), m.row_bytes(r), &blocks)
}

fn silu_of(x: f32) -> f32 {
    let mut x = [x];
    silu(&mut x);
    x[0]
}

fn buffer(int8: bool, count: usize, len: usize) -> Int8Buffer {
    if int8 { Int8Buffer::new(count, len) } else { Int8Buffer::none() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn matmul_is_dot_token_by_token(
        ty in any_type(), rows in 1usize..40, odd in 0usize..40, seed in any::<u64>(), int8 in any::<bool>()
    ) {
        let (mut random, cols) = (Random(seed), width_of(ty, odd));
        let memory = weights(ty, rows * cols, Scales::Tame, &mut random);
        let w = Matrix::new(ty, rows, cols, &memory).unwrap();
        let pools = pools();
        let mut buffer = buffer(int8, 35, cols);
        for tokens in [0, 1, 2, 3, 5, 7, 17, 35] {
            let x = random.numbers(tokens * cols);
            let expected: Vec<u32> = (0..tokens * rows)
                .map(|i| times(w, i % rows, &x[i / rows * cols..][..cols], int8).to_bits())
                .collect();
            for pool in &pools {
                let mut y = vec![f32::NAN; tokens * rows];
                matmul(pool, w, buffer.vectors(pool, &x, cols, &[ty]), &mut y);
                let threads = pool.threads();
                prop_assert!(bits(&y) == expected, "{ty}, {tokens} tokens, {threads} threads, int8 {int8}");
            }
        }
    }

    #[test]
    fn experts_are_their_three_products(
        gate in any_type(), down in any_type(), seed in any::<u64>(), int8 in any::<bool>()
    ) {
        let (mut random, tokens, outputs) = (Random(seed), 5, 20);
        let (hidden, width) = (width_of(gate, 3), width_of(down, 5));
        let (hidden, width) = if gate.block_weights() > 1 || down.block_weights() > 1 { (256, 256) } else { (hidden, width) };
        let memory: Vec<[Vec<u8>; 3]> = (0..4)
            .map(|_| [gate, gate, down].map(|ty| weights(ty, hidden * width, Scales::Tame, &mut random)))
            .collect();
        // A different number of pairs each, none for one, outputs in no order, the last two unused.
        let pairs: Vec<Vec<Pair>> = [1, 0, 12, 5]
            .iter()
            .scan(0u32, |next, &count| {
                let first = *next;
                *next += count;
                Some((first..*next).map(|i| Pair { input: i % tokens as u32, output: i * 7 % 18 }).collect())
            })
            .collect();
        let jobs: Vec<(GateUp<'_>, Down<'_>)> = memory
            .iter()
            .zip(&pairs)
            .map(|([g, u, d], pairs)| {
                let matrix = |ty, rows, cols, bytes| Matrix::new(ty, rows, cols, bytes).unwrap();
                let (gate, up) = (matrix(gate, width, hidden, g), matrix(gate, width, hidden, u));
                (GateUp { gate, up, pairs }, Down { down: matrix(down, hidden, width, d), pairs })
            })
            .collect();
        let (first, second): (Vec<_>, Vec<_>) = jobs.iter().copied().unzip();
        let x: Vec<f32> = random.numbers(tokens * hidden).iter().map(|x| x * 0.1).collect();
        let expected = naive(&jobs, &x, outputs, (width, hidden), int8);
        let (mut x_buffer, mut h_buffer) = (buffer(int8, tokens, hidden), buffer(int8, outputs, width));
        for pool in pools() {
            let (mut h, mut y) = (vec![f32::NAN; outputs * width], vec![-1.0; outputs * hidden]);
            let x = x_buffer.vectors(&pool, &x, hidden, &[gate]);
            activate(&pool, &first, x, &mut h);
            project(&pool, &second, &h, &mut h_buffer, &mut y);
            prop_assert!(bits(&y) == bits(&expected), "{gate} {down}, {} threads", pool.threads());
            // Job by job, as experts arrive from disk: the same.
            let mut one_by_one = vec![-1.0; outputs * hidden];
            for (first, second) in &jobs {
                activate(&pool, &[*first], x, &mut h);
                project(&pool, &[*second], &h, &mut h_buffer, &mut one_by_one);
            }
            prop_assert!(bits(&one_by_one) == bits(&expected), "{gate} {down}, one job at a time");
        }
    }
}

/// One pair at a time with the slow kernels; rows nobody names keep -1.
fn naive(
    jobs: &[(GateUp<'_>, Down<'_>)],
    x: &[f32],
    outputs: usize,
    (width, hidden): (usize, usize),
    int8: bool,
) -> Vec<f32> {
    let mut y = vec![-1.0; outputs * hidden];
    for (first, second) in jobs {
        for pair in first.pairs {
            let x = &x[pair.input as usize * hidden..][..hidden];
            let h: Vec<f32> = (0..width)
                .map(|r| silu_of(times(first.gate, r, x, int8)) * times(first.up, r, x, int8))
                .collect();
            let out = &mut y[pair.output as usize * hidden..][..hidden];
            (0..hidden).for_each(|r| out[r] = times(second.down, r, &h, int8));
        }
    }
    y
}

#[test]
fn matrices_of_the_wrong_size_are_not_made() {
    let bytes = [0; 288];
    assert!(Matrix::new(WeightType::Q4_K, 2, 256, &bytes).is_some());
    assert!(Matrix::new(WeightType::Q4_K, 1, 256, &bytes).is_none());
    assert!(Matrix::new(WeightType::Q4_K, 2, 255, &bytes).is_none());
    assert!(Matrix::new(WeightType::F32, usize::MAX, 256, &bytes).is_none());
}

#[test]
fn a_pair_outside_the_buffers_panics_and_the_pool_goes_on() {
    let memory = vec![0; 32 * 34];
    let m = Matrix::new(WeightType::Q8_0, 32, 32, &memory).unwrap();
    let pool = Pool::new(2, 32).unwrap();
    let (x, mut h, mut y) = (vec![1.0; 32], vec![0.0; 32], vec![1.0; 32]);
    for (input, output, fine) in [(1, 0, false), (0, 1, false), (0, 0, true)] {
        let pairs = &[Pair { input, output }];
        let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            activate(&pool, &[GateUp { gate: m, up: m, pairs }], Vectors::exact(&x, 32), &mut h);
            project(&pool, &[Down { down: m, pairs }], &h, &mut Int8Buffer::new(1, 32), &mut y);
        }));
        assert_eq!(attempt.is_ok(), fine);
    }
    assert_eq!(y, [0.0; 32]);
}
