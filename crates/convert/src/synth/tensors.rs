//! The tensors of a synthetic model: names and types as in the published Q4_K_M files.

use hotset_base::WeightType;
use hotset_format::ModelConfig;

use super::calibration::{ATTENTION_OUTPUT, EXPERT_OUTPUT};
use crate::Recipe;
use crate::recipe::Subject;

/// How the weights of a tensor are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content {
    /// A norm.
    Ones,
    Embedding,
    Head,
    Router,
    /// Random with this standard deviation.
    Random(f32),
    /// Random; rows that write to this layer's lane have the standard deviation, others a small part.
    IntoLane(usize, f32),
}

/// One tensor; experts are fused as in a GGUF file.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub name: String,
    pub layer: usize,
    pub ty: WeightType,
    /// Experts of a fused tensor and which part of them (0 gate, 1 up, 2 down).
    pub experts: Option<(usize, usize)>,
    /// Rows of one expert, or of the tensor.
    pub rows: usize,
    pub cols: usize,
    pub content: Content,
}

impl Tensor {
    /// Rows of all experts together.
    pub fn all_rows(&self) -> usize {
        self.rows * self.experts.map_or(1, |(experts, _)| experts)
    }

    pub fn row_bytes(&self) -> usize {
        self.ty.row_bytes(self.cols).expect("the recipe fits types to rows").index()
    }
}

/// All tensors, each layer's together, the dense ones in the order of a checkpoint's.
pub(super) fn tensors(config: &ModelConfig) -> Vec<Tensor> {
    use Content::{Embedding, Head, IntoLane, Ones, Random, Router};
    let c = config;
    let (q, kv, unit) = (c.heads * c.head_dim, c.kv_heads * c.head_dim, inverse_root(c.hidden));
    let mut all = vec![tensor(c, "token_embd", None, (c.vocab, c.hidden), Embedding)];
    for layer in 0..c.layers {
        let mut push = |kind, shape, content| all.push(tensor(c, kind, Some(layer), shape, content));
        push("attn_norm", (1, c.hidden), Ones);
        push("attn_q", (q, c.hidden), Random(unit));
        push("attn_k", (kv, c.hidden), Random(unit));
        push("attn_v", (kv, c.hidden), Random(unit));
        // Attended values have a root mean square of about 0.8: neighbours share most of theirs.
        push("attn_output", (c.hidden, q), IntoLane(layer, ATTENTION_OUTPUT * inverse_root(q) / 0.8));
        push("attn_q_norm", (1, c.head_dim), Ones);
        push("attn_k_norm", (1, c.head_dim), Ones);
        push("ffn_norm", (1, c.hidden), Ones);
        push("ffn_gate_inp", (c.experts, c.hidden), Router);
        push("ffn_gate_exps", (c.expert_width, c.hidden), Random(unit));
        push("ffn_up_exps", (c.expert_width, c.hidden), Random(unit));
        push("ffn_down_exps", (c.hidden, c.expert_width), IntoLane(layer + 1, down(c)));
    }
    all.push(tensor(c, "output_norm", None, (1, c.hidden), Ones));
    all.push(tensor(c, "output", None, (c.vocab, c.hidden), Head));
    all
}

fn inverse_root(n: usize) -> f32 {
    1.0 / (n as f32).sqrt()
}

/// Deviation of a down matrix: `silu(gate) * up` of normal numbers has a root mean square of 0.6, and
/// the weighted sum of k independent outputs one of about `sqrt(1.15 / k)`.
fn down(c: &ModelConfig) -> f32 {
    EXPERT_OUTPUT * inverse_root(c.expert_width) / 0.6 * (c.top_k as f32 / 1.15).sqrt().max(1.0)
}

fn tensor(
    config: &ModelConfig,
    kind: &str,
    layer: Option<usize>,
    (rows, cols): (usize, usize),
    content: Content,
) -> Tensor {
    let part = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"].iter().position(|part| *part == kind);
    let ty = Recipe::Q4KM.type_for(&Subject {
        kind,
        layer: layer.unwrap_or(0),
        layers: config.layers,
        source: WeightType::F32,
        rows,
        cols,
        tied: false,
    });
    Tensor {
        name: layer.map_or_else(|| format!("{kind}.weight"), |layer| format!("blk.{layer}.{kind}.weight")),
        layer: layer.unwrap_or(0),
        ty,
        experts: part.map(|part| (config.experts, part)),
        rows,
        cols,
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::preset;

    #[test]
    fn the_full_size_has_the_numbers_of_the_real_model() {
        let all = tensors(&preset("qwen3-30b-a3b").unwrap());
        let weights: usize = all.iter().map(|tensor| tensor.all_rows() * tensor.cols).sum();
        assert_eq!((all.len(), weights), (579, 30_532_122_624));
        let of = |ty| all.iter().filter(|tensor| tensor.ty == ty).count();
        // Q6_K: the head and half of the 96 value and down matrices. F32: norms and routers.
        assert_eq!((of(WeightType::Q6_K), of(WeightType::F32)), (49, 241));
        let v =
            |layer: usize| all.iter().find(|t| t.name == format!("blk.{layer}.attn_v.weight")).unwrap().ty;
        assert_eq!(
            [v(0), v(6), v(8), v(47)],
            [WeightType::Q6_K, WeightType::Q4_K, WeightType::Q6_K, WeightType::Q6_K]
        );
    }
}
