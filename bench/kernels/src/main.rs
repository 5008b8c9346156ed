//! Weights of many experts from memory, times one vector: hotset, candle and llama.cpp on the same bytes, pass by
//! pass in turn. `compare-kernels THREADS [MiB] [ROUNDS]`; see bench/compare_kernels.sh.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use candle_core::quantized::GgmlType;
use candle_core::quantized::k_quants::{BlockQ4K, BlockQ6K, matmul as candle};
use hotset_base::WeightType;
use hotset_kernels::{Int8Buffer, Matrix, Pool, matmul};

#[link(name = "ggml_matmul")]
unsafe extern "C" {
    fn matmul_new(ty: c_int, rows: i64, cols: i64, threads: c_int) -> *mut c_void;
    fn matmul_pause(m: *mut c_void);
    fn matmul_resume(m: *mut c_void);
    fn matmul_run(m: *mut c_void, weights: *const c_void, x: *const f32, y: *mut f32) -> c_int;
}

const NAMES: [&str; 3] = ["hotset", "candle", "llama.cpp"];

/// A type, in candle's and in ggml's words.
trait Blocks: GgmlType + Clone {
    const TYPE: WeightType;
    const GGML: c_int;
}
impl Blocks for BlockQ4K {
    const TYPE: WeightType = WeightType::Q4_K;
    const GGML: c_int = 12;
}
impl Blocks for BlockQ6K {
    const TYPE: WeightType = WeightType::Q6_K;
    const GGML: c_int = 14;
}

struct Settings {
    threads: usize,
    mib: usize,
    rounds: usize,
}

fn main() {
    let argument = |i: usize, default| std::env::args().nth(i).map_or(default, |a| a.parse().expect("a number"));
    let settings = Settings { threads: argument(1, 2), mib: argument(2, 600), rounds: argument(3, 15) };
    println!("GB/s of weights from memory, {} threads, medians of {} passes in turn (least to most)", settings.threads, settings.rounds);
    compare::<BlockQ4K>(&settings, 768, 2048);
    compare::<BlockQ4K>(&settings, 2048, 768);
    compare::<BlockQ6K>(&settings, 2048, 768);
}

fn compare<B: Blocks>(settings: &Settings, rows: usize, cols: usize) {
    let (blocks, bytes) = (rows * cols / 256, rows * B::TYPE.row_bytes(cols).unwrap().index());
    let experts = (settings.mib << 20) / bytes;
    let numbers: Vec<f32> = (0..rows * cols).map(|i| ((i * 2654435761) >> 7 & 0xffff) as f32 / 32768.0 - 1.0).collect();
    let mut one = vec![B::zeros(); blocks];
    B::from_float(&numbers, &mut one);
    let weights: Vec<B> = one.iter().cycle().take(blocks * experts).cloned().collect();
    let expert = |e: usize| &weights[e * blocks..(e + 1) * blocks];
    assert_eq!(size_of_val(expert(0)), bytes);
    let x: Vec<f32> = (0..cols).map(|i| (i as f32 * 0.37).sin()).collect();
    let (pool, mut int8) = (Pool::new(settings.threads, cols).unwrap(), Int8Buffer::new(1, cols));
    // SAFETY: plain numbers; the library keeps none of the pointers beyond a call.
    let ggml = unsafe { matmul_new(B::GGML, rows as i64, cols as i64, settings.threads as c_int) };
    let mut ours = |e: usize, y: &mut [f32]| {
        // SAFETY: blocks are bytes without padding, as their size says.
        let bytes = unsafe { std::slice::from_raw_parts(expert(e).as_ptr().cast::<u8>(), bytes) };
        let w = Matrix::new(B::TYPE, rows, cols, bytes).unwrap();
        matmul(&pool, w, int8.vectors(&pool, &x, cols, &[B::TYPE]), y);
    };
    let mut candles = |e: usize, y: &mut [f32]| candle((1, cols, rows), &x, expert(e), y).unwrap();
    let mut theirs = |e: usize, y: &mut [f32]| {
        // SAFETY: pointers to as much as the shapes say.
        let code = unsafe { matmul_run(ggml, expert(e).as_ptr().cast(), x.as_ptr(), y.as_mut_ptr()) };
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
                1 => pass(&mut candles),
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
    print(B::TYPE, (rows, cols), rates, &outputs);
}

fn print(ty: WeightType, (rows, cols): (usize, usize), mut rates: [Vec<f64>; 3], outputs: &[Vec<f32>; 3]) {
    let size = outputs[0].iter().fold(0f32, |max, y| max.max(y.abs()));
    for peer in &outputs[1..] {
        let off = outputs[0].iter().zip(peer).fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(off < 0.02 * size, "the products differ by {off} of {size}");
    }
    println!("{ty} [{rows} x {cols}]");
    rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
    let median = |peer: usize| rates[peer][rates[peer].len() / 2];
    for (peer, rates) in rates.iter().enumerate() {
        let (least, most) = (rates[0], rates[rates.len() - 1]);
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
