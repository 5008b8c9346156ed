//! Which weight type each tensor gets.

use std::fmt;
use std::str::FromStr;

use hotset_base::WeightType;

use crate::pack::ROUTER;

/// A quantisation recipe, named as llama.cpp's `llama-quantize` names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipe {
    /// Every tensor as it is in the source.
    Keep,
    /// One type for every matrix.
    Uniform(WeightType),
    /// Q4_K with Q6_K for the head and for half of the value and down matrices.
    Q4KM,
}

const NAMES: [(&str, Recipe); 7] = [
    ("keep", Recipe::Keep),
    ("bf16", Recipe::Uniform(WeightType::BF16)),
    ("q8_0", Recipe::Uniform(WeightType::Q8_0)),
    ("q4_0", Recipe::Uniform(WeightType::Q4_0)),
    ("q4_k", Recipe::Uniform(WeightType::Q4_K)),
    ("q6_k", Recipe::Uniform(WeightType::Q6_K)),
    ("q4_k_m", Recipe::Q4KM),
];

/// What a recipe needs to know of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Canonical name without layer and expert, e.g. `attn_v`, `ffn_down_exps`, `token_embd`.
    pub kind: &'a str,
    pub layer: usize,
    pub layers: usize,
    pub source: WeightType,
    pub rows: usize,
    pub cols: usize,
    /// The embedding also serves as the head.
    pub tied: bool,
}

impl Recipe {
    /// `keep, bf16, ...`
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The type of one tensor.
    ///
    /// Norms and routers keep their precision: they are small, and routing is decided by them. Rows
    /// that are not whole blocks of the wanted type get the nearest type of 32-weight blocks.
    pub(crate) fn type_for(self, subject: &Subject) -> WeightType {
        let is_matrix = subject.rows > 1 && subject.kind != ROUTER;
        let wanted = match self {
            Self::Keep => subject.source,
            _ if !is_matrix => subject.source,
            Self::Uniform(ty) => ty,
            Self::Q4KM => q4_k_m(subject),
        };
        fitting(wanted, subject.cols)
    }
}

/// llama.cpp's Q4_K_M: Q6_K for the head, and for the value and down matrices of the first and last
/// eighth of the layers and every third layer between.
fn q4_k_m(subject: &Subject) -> WeightType {
    let (layer, layers) = (subject.layer, subject.layers);
    let more_bits = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    match subject.kind {
        "output" => WeightType::Q6_K,
        "token_embd" if subject.tied => WeightType::Q6_K,
        "attn_v" | "ffn_down_exps" if more_bits => WeightType::Q6_K,
        _ => WeightType::Q4_K,
    }
}

/// The type itself if rows of `cols` weights are whole blocks of it, else what llama.cpp falls back
/// to, else F16.
fn fitting(wanted: WeightType, cols: usize) -> WeightType {
    let narrower = match wanted {
        WeightType::Q4_K => WeightType::Q5_0,
        WeightType::Q6_K => WeightType::Q8_0,
        other => other,
    };
    [wanted, narrower, WeightType::F16]
        .into_iter()
        .find(|ty| ty.row_bytes(cols).is_some())
        .unwrap_or(WeightType::F16)
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, recipe)| recipe == self).map_or("custom", |(name, _)| *name);
        f.pad(name)
    }
}

impl FromStr for Recipe {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, recipe)| *recipe).ok_or_else(
            || {
                let known = Self::names().collect::<Vec<_>>().join(", ");
                format!("`{text}` is not a known recipe; known are {known}")
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &'static str, layer: usize, rows: usize, cols: usize) -> Subject<'static> {
        Subject { kind, layer, layers: 48, source: WeightType::BF16, rows, cols, tied: false }
    }

    #[test]
    fn q4_k_m_gives_more_bits_where_llama_cpp_does() {
        let down = |layer| Recipe::Q4KM.type_for(&subject("ffn_down_exps", layer, 2048, 768));
        let more: Vec<usize> = (0..48).filter(|&layer| down(layer) == WeightType::Q6_K).collect();
        assert_eq!(more.len(), 24);
        assert_eq!(more[..9], [0, 1, 2, 3, 4, 5, 8, 11, 14]);
        assert_eq!(Recipe::Q4KM.type_for(&subject("output", 0, 151_936, 2048)), WeightType::Q6_K);
        assert_eq!(Recipe::Q4KM.type_for(&subject("attn_q", 0, 4096, 2048)), WeightType::Q4_K);
    }

    #[test]
    fn norms_and_routers_keep_their_precision_and_short_rows_get_small_blocks() {
        let q4_k = Recipe::Uniform(WeightType::Q4_K);
        assert_eq!(q4_k.type_for(&subject("ffn_gate_inp", 0, 128, 2048)), WeightType::BF16);
        assert_eq!(q4_k.type_for(&subject("attn_norm", 0, 1, 2048)), WeightType::BF16);
        assert_eq!(q4_k.type_for(&subject("ffn_down_exps", 0, 512, 64)), WeightType::Q5_0);
        assert_eq!(q4_k.type_for(&subject("ffn_down_exps", 0, 512, 20)), WeightType::F16);
    }
}
