//! Weights of many experts from memory, times one vector: hotset, candle and llama.cpp on the same bytes, pass by
//! pass in turn. `compare-kernels THREADS [MiB] [ROUNDS]`; see bench/compare_kernels.sh.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use candle_core::quantized::GgmlType;
use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8_0, matmul as candle_matmul};
use hotset_base::WeightType;
use hotset_kernels::{Int8Buffer, Matrix, Pool, matmul};

#[link(name = "ggml_matmul")]
unsafe extern "C" {
    fn matmul_quantize(ty: c_int, weights: *const f32, rows: i64, cols: i64, out: *mut c_void) -> usize;
    fn matmul_new(ty: c_int, rows: i64, cols: i64, threads: c_int) -> *mut c_void;
    fn matmul_pause(m: *mut c_void);
    fn matmul_resume(m: *mut c_void);
    fn matmul_run(m: *mut c_void, weights: *const c_void, x: *const f32, y: *mut f32) -> c_int;
}

const NAMES: [&str; 3] = ["hotset", "candle", "llama.cpp"];
/// Gate or up, and down, of an expert of Qwen3-30B-A3B.
const SHAPES: [(usize, usize); 2] = [(768, 2048), (2048, 768)];

/// One vector times a matrix: (columns, rows), vector, weights, products.
type Candle = fn((usize, usize), &[f32], &[u8], &mut [f32]);

fn candle<B: GgmlType>((cols, rows): (usize, usize), x: &[f32], weights: &[u8], y: &mut [f32]) {
    // SAFETY: every bit pattern is a block, and the weights are aligned to 64 bytes.
    let (before, blocks, after) = unsafe { weights.align_to::<B>() };
    assert!(before.is_empty() && after.is_empty());
    candle_matmul((1, cols, rows), x, blocks, y).unwrap();
}

/// Types experts come in, and candle's kernel where there is one.
const TYPES: [(WeightType, Option<Candle>); 8] = [
    (WeightType::Q4_K, Some(candle::<BlockQ4K>)),
    (WeightType::Q5_K, Some(candle::<BlockQ5K>)),
    (WeightType::Q6_K, Some(candle::<BlockQ6K>)),
    (WeightType::Q8_0, Some(candle::<BlockQ8_0>)),
    (WeightType::Q4_0, Some(candle::<BlockQ4_0>)),
    (WeightType::IQ4_NL, None),
    (WeightType::IQ4_XS, None),
    (WeightType::BF16, None),
];

struct Settings {
    threads: usize,
    mib: usize,
    rounds: usize,
}

fn main() {
    let argument = |i: usize, default| std::env::args().nth(i).map_or(default, |a| a.parse().expect("a number"));
    let settings = Settings { threads: argument(1, 2), mib: argument(2, 600), rounds: argument(3, 15) };
    println!("GB/s of weights from memory, {} threads, medians of {} passes in turn (least to most)", settings.threads, settings.rounds);
    for (ty, candle) in TYPES {
        SHAPES.iter().for_each(|&shape| compare(&settings, ty, candle, shape));
    }
}

/// Experts one after the other, each aligned to 64 bytes.
struct Experts {
    memory: Vec<[u8; 64]>,
    bytes: usize,
}

impl Experts {
    /// All alike, of random numbers quantised by ggml.
    fn new(ty: WeightType, (rows, cols): (usize, usize), mib: usize) -> Self {
        let bytes = rows * ty.row_bytes(cols).unwrap().index();
        assert_eq!(bytes % 64, 0, "experts of whole cache lines");
        let numbers: Vec<f32> = (0..rows * cols).map(|i| ((i * 2654435761) >> 7 & 0xffff) as f32 / 32768.0 - 1.0).collect();
        let mut one = vec![[0u8; 64]; bytes / 64];
        // SAFETY: as many numbers as the shape says, and room for the bytes of so many weights.
        let written = unsafe { matmul_quantize(ty.ggml_id() as c_int, numbers.as_ptr(), rows as i64, cols as i64, one.as_mut_ptr().cast()) };
        assert_eq!(written, bytes);
        let count = (mib << 20) / bytes;
        Self { memory: one.iter().cycle().take(one.len() * count).copied().collect(), bytes }
    }

    fn count(&self) -> usize {
        self.memory.len() * 64 / self.bytes
    }

    fn of(&self, e: usize) -> &[u8] {
        &self.memory.as_flattened()[e * self.bytes..][..self.bytes]
    }
}

fn compare(settings: &Settings, ty: WeightType, candle: Option<Candle>, (rows, cols): (usize, usize)) {
    let weights = Experts::new(ty, (rows, cols), settings.mib);
    let (experts, bytes) = (weights.count(), weights.bytes);
    let x: Vec<f32> = (0..cols).map(|i| (i as f32 * 0.37).sin()).collect();
    let (pool, mut int8) = (Pool::new(settings.threads, cols).unwrap(), Int8Buffer::new(1, cols));
    // SAFETY: plain numbers; the library keeps none of the pointers beyond a call.
    let ggml = unsafe { matmul_new(ty.ggml_id() as c_int, rows as i64, cols as i64, settings.threads as c_int) };
    let mut ours = |e: usize, y: &mut [f32]| {
        let w = Matrix::new(ty, rows, cols, weights.of(e)).unwrap();
        matmul(&pool, w, int8.vectors(&pool, &x, cols, &[ty]), y);
    };
    let mut theirs = |e: usize, y: &mut [f32]| {
        // SAFETY: pointers to as much as the shapes say.
        let code = unsafe { matmul_run(ggml, weights.of(e).as_ptr().cast(), x.as_ptr(), y.as_mut_ptr()) };
        assert_eq!(code, 0);
    };
    let order = shuffled(experts);
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut outputs: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; rows]);
    for _ in 0..settings.rounds {
        for peer in 0..3 {
            let y = &mut outputs[peer];
            let mut pass = |one: &mut dyn FnMut(usize, &mut [f32])| {
                let start = Instant::now();
                order.iter().for_each(|&e| one(e, y));
                rates[peer].push((experts * bytes) as f64 / start.elapsed().as_secs_f64() / 1e9);
            };
            match peer {
                0 => pass(&mut ours),
                1 => {
                    if let Some(candle) = candle {
                        pass(&mut |e, y| candle((cols, rows), &x, weights.of(e), y));
                    }
                }
                _ => {
                    // SAFETY: made above.
                    unsafe { matmul_resume(ggml) };
                    pass(&mut theirs);
                    unsafe { matmul_pause(ggml) };
                }
            }
            // Threads that spin come to rest.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
    print(ty, (rows, cols), rates, &outputs, length);
}

fn print(ty: WeightType, (rows, cols): (usize, usize), mut rates: [Vec<f64>; 3], outputs: &[Vec<f32>; 3], length: f32) {
    rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
    let measured = || (0..NAMES.len()).filter(|&peer| !rates[peer].is_empty());
    for peer in measured().map(|peer| &outputs[peer]) {
        let off = outputs[0].iter().zip(peer).fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        // Each rounds the vector to int8 in its own way.
        assert!(off < 0.01 * length, "products of a vector of length {length} differ by {off}");
    }
    println!("{ty} [{rows} x {cols}]");
    let median = |peer: usize| rates[peer][rates[peer].len() / 2];
    for peer in measured() {
        let (least, most) = (rates[peer][0], rates[peer][rates[peer].len() - 1]);
        print!("  {:<10} {:6.2} ({least:.2} to {most:.2})", NAMES[peer], median(peer));
        println!("{}", if peer > 0 { format!("   hotset is {:.2} x", median(0) / median(peer)) } else { String::new() });
    }
}

/// Fisher and Yates, with Knuth's MMIX generator.
fn shuffled(count: usize) -> Vec<usize> {
    let (mut order, mut state): (Vec<usize>, u64) = ((0..count).collect(), 12345);
    for i in (1..count).rev() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        order.swap(i, (state >> 33) as usize % (i + 1));
    }
    order
}
