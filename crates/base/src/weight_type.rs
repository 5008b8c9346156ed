//! The number formats weights come in, with the block geometry of each.

use std::fmt;
use std::str::FromStr;

use crate::Bytes;

/// How the weights of one tensor are stored.
///
/// Block layouts are those of ggml (`ggml-common.h`, `ggml_type` ids); a row of `cols` weights is
/// `cols / block_weights` consecutive blocks, little endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(non_camel_case_types)]
#[allow(missing_docs)] // the names are the documentation
pub enum WeightType {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
}

/// name, ggml id, weights per block, bytes per block
const TABLE: [(WeightType, &str, u32, usize, usize); 15] = [
    (WeightType::F32, "F32", 0, 1, 4),
    (WeightType::F16, "F16", 1, 1, 2),
    (WeightType::BF16, "BF16", 30, 1, 2),
    (WeightType::Q8_0, "Q8_0", 8, 32, 34),
    (WeightType::Q4_0, "Q4_0", 2, 32, 18),
    (WeightType::Q4_1, "Q4_1", 3, 32, 20),
    (WeightType::Q5_0, "Q5_0", 6, 32, 22),
    (WeightType::Q5_1, "Q5_1", 7, 32, 24),
    (WeightType::Q2_K, "Q2_K", 10, 256, 84),
    (WeightType::Q3_K, "Q3_K", 11, 256, 110),
    (WeightType::Q4_K, "Q4_K", 12, 256, 144),
    (WeightType::Q5_K, "Q5_K", 13, 256, 176),
    (WeightType::Q6_K, "Q6_K", 14, 256, 210),
    (WeightType::IQ4_NL, "IQ4_NL", 20, 32, 18),
    (WeightType::IQ4_XS, "IQ4_XS", 23, 256, 136),
];

impl WeightType {
    /// Every supported type.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (WeightType, &'static str, u32, usize, usize) {
        TABLE.iter().find(|row| row.0 == self).expect("every type is in the table")
    }

    /// The type's usual name, e.g. `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The id that GGUF files use (`enum ggml_type`).
    pub fn ggml_id(self) -> u32 {
        self.row().2
    }

    /// The type of a GGUF id, if it is supported.
    pub fn from_ggml_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// Weights in one block.
    pub fn block_weights(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Bytes of a row of `cols` weights; `None` if `cols` is not a whole number of blocks.
    pub fn row_bytes(self, cols: usize) -> Option<Bytes> {
        let (weights, bytes) = (self.block_weights(), self.block_bytes());
        if !cols.is_multiple_of(weights) {
            return None;
        }
        (cols / weights).checked_mul(bytes).map(|n| Bytes(n as u64))
    }

    /// `F32, F16, ...`: for error messages.
    pub fn supported_names() -> String {
        TABLE.iter().map(|row| row.1).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An unknown type name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("weight type `{0}` is not supported; supported are {list}", list = WeightType::supported_names())]
pub struct ParseWeightTypeError(String);

impl FromStr for WeightType {
    type Err = ParseWeightTypeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TABLE
            .iter()
            .find(|row| row.1.eq_ignore_ascii_case(text))
            .map(|row| row.0)
            .ok_or_else(|| ParseWeightTypeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_come_back() {
        for ty in WeightType::all() {
            assert_eq!(ty.name().parse(), Ok(ty));
            assert_eq!(WeightType::from_ggml_id(ty.ggml_id()), Some(ty));
        }
        assert_eq!(WeightType::from_ggml_id(4), None); // Q4_2, removed from ggml
        assert!("Q9_Z".parse::<WeightType>().is_err());
    }

    #[test]
    fn rows_are_whole_blocks() {
        assert_eq!(WeightType::Q4_K.row_bytes(512), Some(Bytes(288)));
        assert_eq!(WeightType::Q4_K.row_bytes(64), None);
        assert_eq!(WeightType::Q8_0.row_bytes(64), Some(Bytes(68)));
    }
}
