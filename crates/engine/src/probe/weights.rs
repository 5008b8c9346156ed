//! Weights to measure with.

use hotset_base::{Bytes, WeightType};
use hotset_kernels::{Matrix, quantize_row};

/// A matrix, apart from its weights: type, rows, columns.
pub(super) type Kind = (WeightType, usize, usize);

/// Bytes of its weights.
pub(super) fn bytes((ty, rows, cols): Kind) -> usize {
    ty.row_bytes(cols).map_or(0, |row| row.index() * rows)
}

/// One of several matrices of a kind that lie one after the other.
pub(super) fn matrix(kind: Kind, weights: &[u8], copy: usize) -> Matrix<'_> {
    let (each, (ty, rows, cols)) = (bytes(kind), kind);
    Matrix::new(ty, rows, cols, &weights[copy * each..(copy + 1) * each])
        .expect("the buffer is made of whole matrices")
}

/// `copies` matrices with the same random row throughout: speed does not depend on the values, as
/// long as they are ordinary numbers.
pub(super) fn weights(kind: Kind, copies: usize) -> Vec<u8> {
    let (ty, _, cols) = kind;
    let mut row = vec![0u8; ty.row_bytes(cols).map_or(0, Bytes::index)];
    let values: Vec<f32> = (0..cols).map(|i| (i * 7919 % 1999) as f32 / 1e3 - 1.0).collect();
    if quantize_row(ty, &values, &mut row).is_err() {
        // A type that is read and not written. As an f16, 0x2d2d is 0.08: scales are ordinary numbers.
        row.fill(0x2d);
    }
    row.repeat(bytes(kind) / row.len().max(1) * copies)
}
