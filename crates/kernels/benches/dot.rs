//! GB/s of weights that one thread consumes, per type, and what else decides the speed of a token:
//! `cargo bench -p hotset-kernels --bench dot`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hotset_base::WeightType;
use hotset_kernels::{Matrix, Pool, Vectors, dequantize_row, dot, matmul, multiply_add_f16, scalar};

const COLS: usize = 2048;
const ROWS: usize = 512;
const ROUNDS: usize = 25;

/// Bytes of all rows per nanosecond, of the fastest round: what other programs do only adds time.
fn gb_per_s(row_bytes: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut round = || {
        let start = Instant::now();
        (0..ROWS).for_each(&mut work);
        start.elapsed().as_secs_f64()
    };
    let best = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
    (row_bytes * ROWS) as f64 / best / 1e9
}

/// GFLOP/s of one thread over a prompt, where every row is widened once.
fn prefill(ty: WeightType, tokens: usize) -> f64 {
    let bytes = ty.row_bytes(COLS).expect("whole blocks").index();
    let weights = vec![0x11; bytes * ROWS];
    let w = Matrix::new(ty, ROWS, COLS, &weights).expect("sized for it");
    let pool = Pool::new(1, COLS).expect("no threads to start");
    let (x, mut y) = (vec![1.0; tokens * COLS], vec![0.0; tokens * ROWS]);
    let mut seconds = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        matmul(&pool, w, Vectors::exact(black_box(&x), COLS), black_box(&mut y));
        seconds = start.elapsed().as_secs_f64().min(seconds);
    }
    (2 * tokens * COLS * ROWS) as f64 / seconds / 1e9
}

/// Microseconds that a region of two threads with 30 microseconds of work each takes beyond that.
fn hand_off() -> f64 {
    const WORK: Duration = Duration::from_micros(30);
    let pool = Pool::new(2, 1).expect("a thread");
    let region = || {
        let start = Instant::now();
        pool.for_each_chunk(&mut [0u8; 2], 1, |_, _| {
            let start = Instant::now();
            while start.elapsed() < WORK {}
        });
        start.elapsed().saturating_sub(WORK).as_secs_f64() * 1e6
    };
    let mut beyond: Vec<f64> = (0..2000).map(|_| region()).collect();
    beyond.sort_by(f64::total_cmp);
    beyond[beyond.len() / 2]
}

/// Nanoseconds that attention takes per position of the context: eight query heads that share a key and a
/// value of 128 numbers in f16, one thread.
fn position() -> f64 {
    const SHAPE: (usize, usize, usize) = (8, 64, 128);
    let (values, weights, mut out) = ([0x2e66u16; 64 * 128], [0.5f32; 8 * 64], [0.0f32; 8 * 128]);
    let block = |_| multiply_add_f16(SHAPE, black_box(&weights), black_box(&values), black_box(&mut out));
    // Scores cost as much as mixing the values: the same numbers of rows and columns, exchanged.
    2.0 / gb_per_s(64, block)
}

fn main() {
    let x: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut wide = vec![0.0; COLS];
    println!(
        "{:8} {:>9} {:>9} {:>11}   GB/s of weights, one thread, rows of {COLS}",
        "type", "dot", "scalar", "dequantise"
    );
    for ty in WeightType::all() {
        let bytes = ty.row_bytes(COLS).expect("2048 is a multiple of every block").index();
        let weights: Vec<u8> = (0..bytes * ROWS).map(|i| (i * 31 % 64) as u8).collect();
        let row = |r: usize| &weights[r * bytes..(r + 1) * bytes];
        let fast = gb_per_s(bytes, |r| {
            black_box(dot(ty, row(r), &x));
        });
        let slow = gb_per_s(bytes, |r| {
            black_box(scalar::dot(ty, row(r), &x));
        });
        let widen = gb_per_s(bytes, |r| dequantize_row(ty, row(r), black_box(&mut wide)));
        println!("{:8} {fast:9.2} {slow:9.2} {widen:11.2}", ty.name());
    }
    for ty in [WeightType::BF16, WeightType::Q4_K] {
        let rates = [1, 2, 3, 32].map(|tokens| format!("{:.1}", prefill(ty, tokens)));
        println!("matmul {ty} of 1, 2, 3, 32 tokens: {} GFLOP/s", rates.join(", "));
    }
    println!(
        "attention: {:.1} ns a position, 8 heads on a key/value head of 128 in f16; two threads' hand-off {:.2} us, median",
        position(),
        hand_off()
    );
}
