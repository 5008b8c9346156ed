//! How long a token's arithmetic takes: the kernels of every matrix it meets, timed on random weights.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use hotset_base::Bytes;
use hotset_format::{Checkpoint, TensorSlice};
use hotset_kernels::{Down, GateUp, Pair, Pool, activate, matmul, project};
use hotset_model::Activations;

use super::weights::{Kind, bytes, matrix, weights};

/// Weights of one kind that are cycled through: beyond the caches, like a model's.
const WORKING_SET: Bytes = Bytes::mib(96);
/// Time spent on one kind at least, and how often it is repeated.
const TIME: Duration = Duration::from_millis(60);
const ROUNDS: usize = 3;

/// Time of one decoded token's matrices, with every expert in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ComputeSpeed {
    /// The experts it uses.
    pub experts: Duration,
    /// Attention's projections, routers and the head.
    pub dense: Duration,
    /// Threads that computed.
    pub threads: usize,
}

impl ComputeSpeed {
    /// Both.
    pub fn token(&self) -> Duration {
        self.experts + self.dense
    }
}

/// Times the kernels for a model's shapes and types. Reads no weight; takes about half a second and
/// some 100 MiB.
///
/// # Errors
/// What the system says when threads cannot be started.
pub fn measure_compute(
    checkpoint: &Checkpoint,
    threads: usize,
    activations: Activations,
) -> io::Result<ComputeSpeed> {
    let config = &checkpoint.config;
    let timer = Timer { pool: Pool::new(threads, config.longest_row())?, activations };
    let dense = dense_kinds(checkpoint).into_iter().map(|(kind, count)| {
        let all = bytes(kind) * count;
        timer.matmul(kind, all) * count as u32
    });
    let experts = expert_kinds(checkpoint).into_iter().map(|(kinds, layers)| {
        let all = kinds.map(bytes).iter().sum::<usize>() * layers * config.experts;
        timer.experts(kinds, config.top_k, all) * layers as u32
    });
    Ok(ComputeSpeed { dense: dense.sum(), experts: experts.sum(), threads })
}

fn kind(tensor: &TensorSlice) -> Kind {
    (tensor.ty, tensor.rows, tensor.cols)
}

/// The dense matrices a token is multiplied with, and how many there are of each kind.
fn dense_kinds(checkpoint: &Checkpoint) -> BTreeMap<Kind, usize> {
    let dense = &checkpoint.dense;
    let layers = dense.layers.iter().flat_map(|l| [l.q, l.k, l.v, l.o, l.router]);
    let head = dense.head.unwrap_or(dense.embedding);
    let mut kinds = BTreeMap::new();
    layers.chain([head]).for_each(|tensor| *kinds.entry(kind(&tensor)).or_insert(0) += 1);
    kinds
}

/// The kinds of experts, and how many layers have each.
fn expert_kinds(checkpoint: &Checkpoint) -> BTreeMap<[Kind; 3], usize> {
    let mut kinds = BTreeMap::new();
    for layer in checkpoint.experts.chunks(checkpoint.config.experts) {
        *kinds.entry(layer[0].in_order().map(|part| kind(&part))).or_insert(0) += 1;
    }
    kinds
}

/// Times kernels as the model calls them.
struct Timer {
    pool: Pool,
    activations: Activations,
}

impl Timer {
    /// Median time of one matrix times one vector, weights from memory.
    fn matmul(&self, kind: Kind, all: usize) -> Duration {
        let (ty, rows, cols) = kind;
        let copies = copies(bytes(kind), all);
        let weights = weights(kind, copies);
        let (x, mut y) = (vec![0.5f32; cols], vec![0.0f32; rows]);
        let mut int8 = self.activations.buffer(1, cols);
        median_time(|i| {
            let x = int8.vectors(&self.pool, &x, cols, &[ty]);
            matmul(&self.pool, matrix(kind, &weights, i % copies), x, &mut y);
        })
    }

    /// Median time of the `top_k` experts of one layer, weights from memory.
    fn experts(&self, kinds: [Kind; 3], top_k: usize, all: usize) -> Duration {
        let one = kinds.map(bytes).iter().sum();
        let copies = copies(one, all).max(top_k);
        let weights = kinds.map(|kind| weights(kind, copies));
        let ((_, width, hidden), x) = (kinds[0], vec![0.5f32; kinds[0].2]);
        let (mut h, mut y) = (vec![0.0f32; top_k * width], vec![0.0f32; top_k * hidden]);
        let mut x_int8 = self.activations.buffer(1, hidden);
        let mut h_int8 = self.activations.buffer(top_k, width);
        let pairs: Vec<[Pair; 1]> = (0..top_k).map(|pick| [Pair { input: 0, output: pick as u32 }]).collect();
        median_time(|i| {
            let part = |k: usize, p: usize| matrix(kinds[p], &weights[p], (i * top_k + k) % copies);
            let gate_up = |k: usize| GateUp { gate: part(k, 0), up: part(k, 1), pairs: &pairs[k] };
            let down = |k: usize| Down { down: part(k, 2), pairs: &pairs[k] };
            let x = x_int8.vectors(&self.pool, &x, hidden, &[kinds[0].0, kinds[1].0]);
            activate(&self.pool, &(0..top_k).map(gate_up).collect::<Vec<_>>(), x, &mut h);
            project(&self.pool, &(0..top_k).map(down).collect::<Vec<_>>(), &h, &mut h_int8, &mut y);
        })
    }
}

/// How many matrices of `one` bytes to cycle through, if the model has `all` bytes of them.
fn copies(one: usize, all: usize) -> usize {
    (WORKING_SET.index().min(all) / one.max(1)).max(1)
}

/// Median over rounds of the mean time of a call.
fn median_time(mut call: impl FnMut(usize)) -> Duration {
    let mut i = 0;
    let mut round = || {
        let (start, first) = (Instant::now(), i);
        while start.elapsed() < TIME / ROUNDS as u32 || i == first {
            call(i);
            i += 1;
        }
        start.elapsed() / (i - first) as u32
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    times.sort();
    times[ROUNDS / 2]
}
