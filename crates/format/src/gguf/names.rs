//! Tensor names of `qwen3moe` files. The experts of a layer are fused, `[experts, rows, cols]`, in some files gate and
//! up too, `[experts, 2 x rows, cols]`, gate first.

use crate::assemble::{Names, TensorMap, without_numbers};
use crate::{ExpertParts, FormatError, ModelConfig, TensorSlice};

pub(super) struct GgufNames;

const OUTSIDE: [&str; 3] = ["token_embd.weight", "output_norm.weight", "output.weight"];
const IN_LAYER: [&str; 9] = [
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "attn_q_norm",
    "attn_k_norm",
    "ffn_norm",
    "ffn_gate_inp",
];
const EXPERTS: [&str; 7] = [
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_down_exps",
    "ffn_gate_up_exps",
    "ffn_gate.#",
    "ffn_up.#",
    "ffn_down.#",
];

impl Names for GgufNames {
    fn embedding(&self) -> String {
        "token_embd.weight".to_owned()
    }

    fn output_norm(&self) -> String {
        "output_norm.weight".to_owned()
    }

    fn head(&self) -> String {
        "output.weight".to_owned()
    }

    fn layer(&self, layer: usize) -> [String; 9] {
        IN_LAYER.map(|name| format!("blk.{layer}.{name}.weight"))
    }

    fn experts(
        &self,
        map: &mut TensorMap<'_>,
        c: &ModelConfig,
        layer: usize,
    ) -> Result<Vec<ExpertParts>, FormatError> {
        let both = format!("blk.{layer}.ffn_gate_up_exps.weight");
        let [gate, up] = if map.tensors.contains_key(&both) {
            map.stacked_pairs(&both, c.experts, c.expert_width, c.hidden)?
        } else {
            let mut one = |name| part(map, layer, name, [c.experts, c.expert_width, c.hidden]);
            [one("gate")?, one("up")?]
        };
        let down = part(map, layer, "down", [c.experts, c.hidden, c.expert_width])?;
        let parts = gate.into_iter().zip(up).zip(down);
        Ok(parts.map(|((gate, up), down)| ExpertParts { gate, up, down }).collect())
    }

    fn is_part(&self, name: &str) -> bool {
        let name = without_numbers(name);
        let in_layer = || name.strip_prefix("blk.#.").and_then(|rest| rest.strip_suffix(".weight"));
        OUTSIDE.contains(&name.as_str())
            || in_layer().is_some_and(|kind| IN_LAYER.contains(&kind) || EXPERTS.contains(&kind))
    }
}

/// One matrix of every expert of a layer: in one tensor, or in files of early 2024 in one each.
fn part(
    map: &mut TensorMap<'_>,
    layer: usize,
    name: &str,
    [experts, rows, cols]: [usize; 3],
) -> Result<Vec<TensorSlice>, FormatError> {
    let one = |expert: usize| format!("blk.{layer}.ffn_{name}.{expert}.weight");
    if map.tensors.contains_key(&one(0)) {
        return (0..experts).map(|expert| map.matrix(&one(expert), rows, cols)).collect();
    }
    map.stacked(&format!("blk.{layer}.ffn_{name}_exps.weight"), experts, rows, cols)
}
