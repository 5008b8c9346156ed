//! A matrix of weights in borrowed bytes.

use std::ops::Range;

use hotset_base::WeightType;

/// `rows` x `cols` weights, row-major, as they lie in a file or an arena slot.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    ty: WeightType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    bytes: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// `None` if `bytes` is not exactly `rows` rows of `cols` weights.
    pub fn new(ty: WeightType, rows: usize, cols: usize, bytes: &'a [u8]) -> Option<Self> {
        let row_bytes = ty.row_bytes(cols)?.index();
        (row_bytes.checked_mul(rows)? == bytes.len()).then_some(Self { ty, rows, cols, row_bytes, bytes })
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the weights are stored.
    pub fn ty(&self) -> WeightType {
        self.ty
    }

    /// How many bytes a row has.
    pub(crate) fn row_len(&self) -> usize {
        self.row_bytes
    }

    /// The bytes of one row.
    pub fn row_bytes(&self, row: usize) -> &'a [u8] {
        self.rows_bytes(row..row + 1)
    }

    /// The bytes of some rows.
    pub(crate) fn rows_bytes(&self, rows: Range<usize>) -> &'a [u8] {
        &self.bytes[rows.start * self.row_bytes..rows.end * self.row_bytes]
    }
}
