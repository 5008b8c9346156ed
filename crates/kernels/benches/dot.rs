//! GB/s of weights that one thread consumes, per type: `cargo bench -p hotset-kernels --bench dot`.

use std::hint::black_box;
use std::time::Instant;

use hotset_base::WeightType;
use hotset_kernels::{dequantize_row, dot, scalar};

const COLS: usize = 2048;
const ROWS: usize = 512;
const ROUNDS: usize = 9;

/// Median over rounds of the bytes of all rows per nanosecond.
fn gb_per_s(row_bytes: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..ROWS).for_each(&mut work);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (row_bytes * ROWS) as f64 / times[ROUNDS / 2] / 1e9
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
}
