//! How fast every kernel consumes weights that come from memory.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use hotset_base::{Bytes, WeightType};
use hotset_kernels::{Pool, has_int8, matmul};
use hotset_model::Activations;

use super::weights::{bytes, matrix, weights};

/// Numbers of a row: Qwen3-30B-A3B's hidden size.
const COLS: usize = 2048;
/// Weights of a type: more than caches hold.
const MEMORY: Bytes = Bytes::mib(192);
/// They are taken in pieces of about this size, an expert's, one with each kernel in turn, so that all meet the
/// same disturbances.
const PIECE: Bytes = Bytes::mib(2);
/// How often all pieces are taken.
const ROUNDS: usize = 4;
/// Which of the rates of all pieces counts: what others do on the machine only takes away.
const PERCENT: usize = 95;

/// What a type's kernels for one vector reach, in bytes of weights per second.
#[derive(Clone, Copy, Debug)]
pub struct KernelSpeed {
    /// Of the weights.
    pub ty: WeightType,
    /// Of the vector.
    pub activations: Activations,
    /// Threads that computed.
    pub threads: usize,
    /// Bytes of weights per second.
    pub rate: f64,
}

/// Times the kernels of every type with every number of threads; takes some 200 MiB and a few seconds.
///
/// # Errors
/// What the system says when threads cannot be started.
pub fn measure_kernels(threads: &[usize]) -> io::Result<Vec<KernelSpeed>> {
    let pools = threads.iter().map(|&threads| Pool::new(threads, COLS)).collect::<io::Result<Vec<_>>>()?;
    Ok(WeightType::all().flat_map(|ty| measure_type(&pools, ty)).collect())
}

fn measure_type(pools: &[Pool], ty: WeightType) -> Vec<KernelSpeed> {
    let rows = PIECE.index() / bytes((ty, 1, COLS));
    let kind = (ty, rows, COLS);
    let pieces = MEMORY.index() / bytes(kind);
    let weights = weights(kind, pieces);
    let int8 = has_int8(ty).then_some(Activations::Int8);
    let kernels: Vec<Activations> = [Activations::F32].into_iter().chain(int8).collect();
    let numbers: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut y = vec![0.0f32; rows];
    let mut speeds = Vec::new();
    for pool in pools {
        let mut buffers: Vec<_> = kernels.iter().map(|kernel| kernel.buffer(1, COLS)).collect();
        let vectors: Vec<_> = buffers.iter_mut().map(|b| b.vectors(pool, &numbers, COLS, &[ty])).collect();
        let mut rates = vec![Vec::new(); kernels.len()];
        // A kernel meets other pieces in the next round than in this one.
        for i in 0..pieces * ROUNDS {
            let kernel = (i + i / pieces) % kernels.len();
            let start = Instant::now();
            matmul(pool, matrix(kind, &weights, i % pieces), vectors[kernel], black_box(&mut y));
            rates[kernel].push(bytes(kind) as f64 / start.elapsed().as_secs_f64());
        }
        speeds.extend(kernels.iter().zip(rates).map(|(&activations, mut rates)| {
            rates.sort_by(f64::total_cmp);
            let rate = rates[rates.len() * PERCENT / 100];
            KernelSpeed { ty, activations, threads: pool.threads(), rate }
        }));
    }
    speeds
}
