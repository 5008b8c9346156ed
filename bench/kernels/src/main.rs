//! Weights of many experts from memory, times one vector: hotset, candle and llama.cpp on the same bytes, pass by
//! pass in turn. `compare-kernels THREADS [MiB] [ROUNDS]`; see bench/compare_kernels.sh.

mod ggml;

use std::ffi::c_void;
use std::time::{Duration, Instant};

use candle_core::quantized::GgmlType;
use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8_0, matmul as candle_matmul};
use hotset_base::WeightType;
use hotset_kernels::{Down, GateUp, Int8Buffer, Matrix, Pair, Pool, activate, matmul, project, silu};
use rustix::mm::{Advice, madvise};

const NAMES: [&str; 3] = ["hotset", "candle", "llama.cpp"];
/// Width and hidden size of an expert of Qwen3-30B-A3B, experts of a layer and of a token.
const WIDTH: usize = 768;
const HIDDEN: usize = 2048;
const EXPERTS: usize = 128;
const USED: usize = 8;
/// Rounds that are not counted: the first ones of a process are slower.
const WARM: usize = 5;
/// Gate or up, and down.
const SHAPES: [(usize, usize); 2] = [(WIDTH, HIDDEN), (HIDDEN, WIDTH)];

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
        compare_experts(&settings, ty, candle);
        SHAPES.iter().for_each(|&shape| compare_matrices(&settings, ty, candle, shape));
    }
}

/// Matrices one after the other, all alike, each aligned to 64 bytes, in memory with large pages as the arena has them:
/// for all peers.
struct Matrices {
    memory: Vec<[u8; 64]>,
    bytes: usize,
}

impl Matrices {
    fn new(ty: WeightType, shape: (usize, usize), count: usize) -> Self {
        let one = ggml::random_blocks(ty, shape);
        let mut memory = Vec::with_capacity(one.len() * count);
        ask_for_large_pages(&mut memory);
        memory.extend(one.iter().cycle().take(one.len() * count));
        Self { memory, bytes: one.len() * 64 }
    }

    fn all(&self) -> &[u8] {
        self.memory.as_flattened()
    }

    fn of(&self, e: usize) -> &[u8] {
        &self.all()[e * self.bytes..][..self.bytes]
    }
}

/// Before the memory is touched. Where the system has none, small ones do.
fn ask_for_large_pages(memory: &mut Vec<[u8; 64]>) {
    const PAGE: usize = 4096;
    let spare = memory.spare_capacity_mut().as_mut_ptr_range();
    let (start, end) = ((spare.start as usize).next_multiple_of(PAGE), spare.end as usize / PAGE * PAGE);
    // SAFETY: whole pages of memory that is ours; advice changes no byte of it.
    let _ = unsafe { madvise(start as *mut c_void, end - start, Advice::LinuxHugepage) };
}

/// What was measured of each peer, and what it computed last.
struct Rates {
    gbps: [Vec<f64>; 3],
    outputs: [Vec<f32>; 3],
}

impl Rates {
    fn new(output: usize) -> Self {
        Self { gbps: Default::default(), outputs: std::array::from_fn(|_| vec![0.0; output]) }
    }

    /// Times a pass over so many bytes of weights.
    fn pass(&mut self, peer: usize, bytes: usize, pass: impl FnOnce(&mut [f32])) {
        let start = Instant::now();
        pass(&mut self.outputs[peer]);
        self.gbps[peer].push(bytes as f64 / start.elapsed().as_secs_f64() / 1e9);
    }

    /// `within`: how far the peers may be apart. Each rounds vectors to int8 in its own way.
    fn print(mut self, what: &str, within: f32) {
        self.gbps.iter_mut().for_each(|rates| drop(rates.drain(..WARM.min(rates.len()))));
        // Round by round, as the machine's speed changes in between.
        let times = self.gbps.each_ref().map(|peer| sorted(self.gbps[0].iter().zip(peer).map(|(own, peer)| own / peer)));
        let gbps = self.gbps.map(|rates| sorted(rates.into_iter()));
        let measured: Vec<usize> = (0..NAMES.len()).filter(|&peer| !gbps[peer].is_empty()).collect();
        for peer in &measured {
            let off = self.outputs[0].iter().zip(&self.outputs[*peer]).fold(0f32, |max, (a, b)| max.max((a - b).abs()));
            assert!(off < within, "{what}: {} is {off} away, more than {within}", NAMES[*peer]);
        }
        println!("{what}");
        for peer in measured {
            let (least, most) = (gbps[peer][0], gbps[peer][gbps[peer].len() - 1]);
            print!("  {:<10} {:6.2} ({least:.2} to {most:.2})", NAMES[peer], median(&gbps[peer]));
            println!("{}", if peer > 0 { format!("   hotset is {:.2} x", median(&times[peer])) } else { String::new() });
        }
    }
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Of sorted numbers.
fn median(numbers: &[f64]) -> f64 {
    numbers[numbers.len() / 2]
}

fn vector(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn length(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// Threads that spin come to rest.
fn rest() {
    std::thread::sleep(Duration::from_millis(20));
}

/// One matrix at a time, in random order.
fn compare_matrices(settings: &Settings, ty: WeightType, candle: Option<Candle>, (rows, cols): (usize, usize)) {
    let bytes = rows * ty.row_bytes(cols).unwrap().index();
    let order = shuffled((settings.mib << 20) / bytes);
    let weights = Matrices::new(ty, (rows, cols), order.len());
    let x = vector(cols);
    let (pool, mut int8) = (Pool::new(settings.threads, cols).unwrap(), Int8Buffer::new(1, cols));
    let mut ggml = ggml::Matmul::new(ty, (rows, cols), settings.threads);
    let mut rates = Rates::new(rows);
    let all = weights.all().len();
    for _ in 0..WARM + settings.rounds {
        rates.pass(0, all, |y| {
            for &e in &order {
                let w = Matrix::new(ty, rows, cols, weights.of(e)).unwrap();
                matmul(&pool, w, int8.vectors(&pool, &x, cols, &[ty]), y);
            }
        });
        rest();
        if let Some(candle) = candle {
            rates.pass(1, all, |y| order.iter().for_each(|&e| candle((cols, rows), &x, weights.of(e), y)));
            rest();
        }
        ggml.awake(|ggml| rates.pass(2, all, |y| order.iter().for_each(|&e| ggml.run(weights.of(e), &x, y))));
        rest();
    }
    rates.print(&format!("{ty} [{rows} x {cols}]"), 0.01 * length(&x));
}

/// The experts of a token together, as each engine computes a layer: gate and up, SwiGLU, down. Layers have 128 experts;
/// a pass takes each once, eight at a time in random order.
fn compare_experts(settings: &Settings, ty: WeightType, candle: Option<Candle>) {
    let weights = [SHAPES[0], SHAPES[0], SHAPES[1]].map(|shape| Matrices::new(ty, shape, EXPERTS));
    let parts = || weights.each_ref().map(Matrices::all);
    let chosen: Vec<Vec<i32>> = shuffled(EXPERTS).chunks(USED).map(|ids| ids.iter().map(|&e| e as i32).collect()).collect();
    let x = vector(HIDDEN);
    let (pool, mut ggml) = (Pool::new(settings.threads, HIDDEN).unwrap(), ggml::Experts::new(ty, (HIDDEN, WIDTH), EXPERTS, USED, settings.threads));
    let mut ours = Ours { pool, h: vec![0.0; USED * WIDTH], int8: Int8Buffer::new(1, HIDDEN), int8_of_h: Int8Buffer::new(USED, WIDTH) };
    let mut rates = Rates::new(USED * HIDDEN);
    let all: usize = parts().map(<[u8]>::len).iter().sum();
    for _ in 0..WARM + settings.rounds {
        rates.pass(0, all, |y| chosen.iter().for_each(|ids| ours.layer(ty, &weights, ids, &x, y)));
        rest();
        if let Some(candle) = candle {
            rates.pass(1, all, |y| chosen.iter().for_each(|ids| candle_layer(candle, &weights, ids, &x, y)));
            rest();
        }
        ggml.awake(|ggml| rates.pass(2, all, |y| chosen.iter().for_each(|ids| ggml.run(parts(), ids, &x, y))));
        rest();
    }
    let within = 0.01 * length(&rates.outputs[0][..HIDDEN]);
    rates.print(&format!("{ty} {USED} experts of a layer"), within);
}

/// What hotset keeps from layer to layer.
struct Ours {
    pool: Pool,
    h: Vec<f32>,
    int8: Int8Buffer,
    int8_of_h: Int8Buffer,
}

impl Ours {
    fn layer(&mut self, ty: WeightType, weights: &[Matrices; 3], ids: &[i32], x: &[f32], y: &mut [f32]) {
        let pairs: [[Pair; 1]; USED] = std::array::from_fn(|slot| [Pair { token: 0, slot: slot as u32 }]);
        let matrix = |part: usize, e: i32| {
            let (rows, cols) = if part == 2 { SHAPES[1] } else { SHAPES[0] };
            Matrix::new(ty, rows, cols, weights[part].of(e as usize)).unwrap()
        };
        let gate_up: [GateUp<'_>; USED] =
            std::array::from_fn(|i| GateUp { gate: matrix(0, ids[i]), up: matrix(1, ids[i]), pairs: &pairs[i] });
        let down: [Down<'_>; USED] = std::array::from_fn(|i| Down { down: matrix(2, ids[i]), pairs: &pairs[i] });
        activate(&self.pool, &gate_up, self.int8.vectors(&self.pool, x, HIDDEN, &[ty]), &mut self.h);
        project(&self.pool, &down, &self.h, &mut self.int8_of_h, y);
    }
}

fn candle_layer(candle: Candle, weights: &[Matrices; 3], ids: &[i32], x: &[f32], y: &mut [f32]) {
    let [mut gate, mut up] = [[0.0; WIDTH]; 2];
    for (&e, y) in ids.iter().zip(y.chunks_exact_mut(HIDDEN)) {
        candle((HIDDEN, WIDTH), x, weights[0].of(e as usize), &mut gate);
        candle((HIDDEN, WIDTH), x, weights[1].of(e as usize), &mut up);
        silu(&mut gate);
        gate.iter_mut().zip(&up).for_each(|(gate, up)| *gate *= up);
        candle((WIDTH, HIDDEN), &gate, weights[2].of(e as usize), y);
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
