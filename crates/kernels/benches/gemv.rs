//! GB/s of weights in products with one vector, f32 activations against int8 ones:
//! `cargo bench -p hotset-kernels --bench gemv [-- TYPE ...]`.
//!
//! The weights, 192 MiB of each type, are more than the caches hold. They are taken in pieces of some 2 MiB, one
//! with the one kernel, the next with the other, so that both meet the same disturbances. Columns: one thread over
//! a piece that stays in the second-level cache, and one and two threads from memory. One thread is measured
//! in its own processor time, two on the wall; every figure is the 95th percentile of its pieces: what others
//! do on the machine only takes away.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hotset_base::WeightType;
use hotset_kernels::{Int8Buffer, Matrix, Pool, Vectors, has_int8, matmul};
use rustix::time::{ClockId, clock_gettime};

const COLS: usize = 2048;
const MEMORY: usize = 192 << 20;
const PIECE: usize = 2 << 20;
/// Half of a second-level cache of 1 MiB.
const CACHED: usize = 512 << 10;

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// GB/s of f32 and int8 activations over pieces of `bytes` that `piece(i)` gives.
fn rates<'a>(
    pool: &Pool,
    x: [Vectors<'_>; 2],
    pieces: usize,
    piece: impl Fn(usize) -> Matrix<'a>,
) -> [f64; 2] {
    let origin = Instant::now();
    let now = || if pool.threads() == 1 { thread_time() } else { origin.elapsed() };
    let (mut found, mut y) = ([Vec::new(), Vec::new()], Vec::new());
    for i in 0..pieces {
        let w = piece(i);
        y.resize(w.rows(), 0.0);
        let start = now();
        matmul(pool, w, x[i % 2], black_box(&mut y));
        let bytes = w.rows() * w.ty().row_bytes(COLS).expect("whole blocks").index();
        found[i % 2].push(bytes as f64 / (now() - start).as_secs_f64() / 1e9);
    }
    found.map(|mut found| {
        found.sort_by(f64::total_cmp);
        found[found.len() * 19 / 20]
    })
}

/// GFLOP/s of one thread with `count` vectors, f32 and int8 activations, weights in the cache.
fn many(pool: &Pool, ty: WeightType, weights: &[u8], count: usize) -> [f64; 2] {
    const ROWS: usize = 256;
    let w = Matrix::new(ty, ROWS, COLS, &weights[..ROWS * ty.row_bytes(COLS).expect("whole blocks").index()]);
    let w = w.expect("sized for it");
    let numbers: Vec<f32> = (0..count * COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let (mut y, mut best) = (vec![0.0; count * ROWS], [f64::INFINITY; 2]);
    let mut buffers = [Int8Buffer::none(), Int8Buffer::new(count, COLS)];
    for round in 0..40 {
        let start = thread_time();
        let x = buffers[round % 2].vectors(pool, &numbers, COLS, &[ty]);
        matmul(pool, w, x, black_box(&mut y));
        best[round % 2] = (thread_time() - start).as_secs_f64().min(best[round % 2]);
    }
    best.map(|seconds| (2 * count * COLS * ROWS) as f64 / seconds / 1e9)
}

fn main() {
    let asked: Vec<WeightType> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let wanted = |ty: &WeightType| if asked.is_empty() { has_int8(*ty) } else { asked.contains(ty) };
    let pools = [1, 2].map(|threads| Pool::new(threads, COLS).expect("a thread"));
    let numbers: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut buffer = Int8Buffer::new(1, COLS);
    let start = thread_time();
    (0..1000).for_each(|_| _ = black_box(buffer.vectors(&pools[0], &numbers, COLS, &[WeightType::Q8_0])));
    println!("{COLS} numbers to int8: {} ns", (thread_time() - start).as_nanos() / 1000);
    println!("{:8} {:>17} {:>17} {:>17}", "GB/s", "cache, 1 thread", "memory, 1", "memory, 2");
    println!("{:8} {:>17} {:>17} {:>17}", "type", "f32   int8", "f32   int8", "f32   int8");
    for ty in WeightType::all().filter(wanted) {
        let row_bytes = ty.row_bytes(COLS).expect("2048 is a multiple of every block").index();
        let weights: Vec<u8> = (0..MEMORY).map(|i| (i * 31 % 64) as u8).collect();
        let matrix = |bytes: usize, i: usize| {
            let rows = bytes / row_bytes;
            let at = i % (MEMORY / bytes) * bytes;
            Matrix::new(ty, rows, COLS, &weights[at..at + rows * row_bytes]).expect("sized for it")
        };
        let x = [Vectors::exact(&numbers, COLS), buffer.vectors(&pools[0], &numbers, COLS, &[ty])];
        let columns = [
            rates(&pools[0], x, 400, |_| matrix(CACHED, 0)),
            rates(&pools[0], x, MEMORY / PIECE * 3, |i| matrix(PIECE, i)),
            rates(&pools[1], x, MEMORY / PIECE * 5, |i| matrix(PIECE, i)),
        ];
        let columns = columns.map(|[f32, int8]| format!("{f32:9.2} {int8:6.2} "));
        println!("{:8} {}", ty.name(), columns.join(" "));
    }
    const COUNTS: [usize; 6] = [1, 2, 4, 8, 32, 128];
    println!(
        "\nGFLOP/s of one thread, f32 / int8 activations (put into int8 included), for {COUNTS:?} vectors"
    );
    for ty in WeightType::all().filter(wanted) {
        let weights: Vec<u8> = (0..4 << 20).map(|i| (i * 31 % 64) as u8).collect();
        let rates = COUNTS.map(|count| many(&pools[0], ty, &weights, count));
        let rates = rates.map(|[f32, int8]| format!("{f32:5.0} /{int8:4.0}"));
        println!("{:8} {}", ty.name(), rates.join(" "));
    }
}
