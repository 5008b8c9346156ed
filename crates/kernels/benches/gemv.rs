//! Products with vectors, f32 against int8 activations, on one thread with weights in the cache: what the
//! instructions allow. `cargo bench -p hotset-kernels --bench gemv [-- TYPE ...]`; from memory, and with more
//! threads: `hotset bench --kernels`.
//!
//! The two kernels take turns, so that both meet the same disturbances, and are measured in their own processor
//! time; with one vector the 95th percentile of all turns counts: what others do on the machine only takes away.

use std::hint::black_box;
use std::time::Duration;

use hotset_base::WeightType;
use hotset_kernels::{Int8Buffer, Matrix, Pool, Vectors, has_int8, matmul};
use rustix::time::{ClockId, clock_gettime};

const COLS: usize = 2048;
/// Half of a second-level cache of 1 MiB.
const CACHED: usize = 512 << 10;

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// GB/s of f32 and int8 activations.
fn rates(pool: &Pool, x: [Vectors<'_>; 2], w: Matrix<'_>) -> [f64; 2] {
    let (mut found, mut y) = ([Vec::new(), Vec::new()], vec![0.0; w.rows()]);
    let bytes = w.rows() * w.ty().row_bytes(COLS).expect("whole blocks").index();
    for i in 0..400 {
        let start = thread_time();
        matmul(pool, w, x[i % 2], black_box(&mut y));
        found[i % 2].push(bytes as f64 / (thread_time() - start).as_secs_f64() / 1e9);
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
    let pool = Pool::new(1, COLS).expect("no threads to start");
    let numbers: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut buffer = Int8Buffer::new(1, COLS);
    let start = thread_time();
    (0..1000).for_each(|_| _ = black_box(buffer.vectors(&pool, &numbers, COLS, &[WeightType::Q8_0])));
    println!("{COLS} numbers to int8: {} ns", (thread_time() - start).as_nanos() / 1000);
    println!("{:8} {:>9} {:>9}   GB/s of weights", "type", "f32", "int8");
    for ty in WeightType::all().filter(wanted) {
        let row_bytes = ty.row_bytes(COLS).expect("2048 is a multiple of every block").index();
        let rows = CACHED / row_bytes;
        let weights: Vec<u8> = (0..rows * row_bytes).map(|i| (i * 31 % 64) as u8).collect();
        let w = Matrix::new(ty, rows, COLS, &weights).expect("sized for it");
        let x = [Vectors::exact(&numbers, COLS), buffer.vectors(&pool, &numbers, COLS, &[ty])];
        let [f32, int8] = rates(&pool, x, w);
        println!("{:8} {f32:9.2} {int8:9.2}", ty.name());
    }
    const COUNTS: [usize; 6] = [1, 2, 4, 8, 32, 128];
    println!(
        "\nGFLOP/s of one thread, f32 / int8 activations (put into int8 included), for {COUNTS:?} vectors"
    );
    for ty in WeightType::all().filter(wanted) {
        let weights: Vec<u8> = (0..4 << 20).map(|i| (i * 31 % 64) as u8).collect();
        let rates = COUNTS.map(|count| many(&pool, ty, &weights, count));
        let rates = rates.map(|[f32, int8]| format!("{f32:5.0} /{int8:4.0}"));
        println!("{:8} {}", ty.name(), rates.join(" "));
    }
}
