//! Arithmetic over weights that somebody else keeps: dequantise, dot, matrix, expert.
//!
//! Owns the block formats, the order of every sum, and the threads that compute. It must never
//! allocate in a kernel (quantising, which packing does, may), keep weights, open a file, or let speed
//! change a bit: every dot product is the one described in [`mod@dot`] or, where quantised weights meet
//! vectors in int8, in [`mod@int8`], whatever the instruction set, the number of tokens or threads.

mod affinity;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod cells;
mod cpu;
pub mod dot;
mod exp;
mod experts;
mod format;
mod half_float;
pub mod int8;
mod matmul;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pool;
mod product;
mod quantize;
mod tree;
mod vector;
mod vectors;

pub use cpu::instruction_set;
pub use dot::{dequantize_row, dot, dot_f32, scalar};
pub use exp::exp_sum;
pub use experts::{Down, GateUp, Pair, activate, project};
pub use int8::{Int8Block, dot_int8, has_int8, int8_scalar, quantize_vector};
pub use matmul::matmul;
pub use matrix::Matrix;
pub use pool::Pool;
pub use product::{multiply_add_f16, multiply_add_f32};
pub use quantize::{QuantizeError, quantize_row};
pub use vector::{axpy, f32_to_f16_row, rms_norm, rms_norm_in_place, silu};
pub use vectors::{Int8Buffer, Vectors};
