//! Tensor names of Qwen3-MoE checkpoints on the hub.

use std::collections::BTreeMap;

use crate::assemble::{Declared, Names, TensorMap, without_numbers};
use crate::{ExpertParts, FormatError, ModelConfig, TensorSlice};

/// Names begin with `model.`; in checkpoints taken out of a larger model, or of a wrapper's, with more.
pub(super) struct HubNames {
    /// Before `layers` and `embed_tokens`.
    base: String,
    head: String,
}

const EMBEDDING: &str = "embed_tokens.weight";
const FIRST_NORM: &str = "layers.0.input_layernorm.weight";
const OUTPUT_NORM: &str = "norm.weight";
const HEAD: &str = "lm_head.weight";
const BASE: &str = "model.";
const IN_LAYER: [&str; 9] = [
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "self_attn.q_norm",
    "self_attn.k_norm",
    "post_attention_layernorm",
    "mlp.gate",
];
/// Gate and up of all experts of a layer, `[experts, 2 x rows, cols]`, gate first, as `transformers` 5 has them.
const GATE_UP: [&str; 2] = ["mlp.experts.gate_up_proj", "mlp.experts.gate_up_proj.weight"];

/// All experts' `gate`, `up` or `down` in one tensor; the last is MLX's name.
fn stacked_names(part: &str) -> [String; 3] {
    ["mlp.experts.*_proj", "mlp.experts.*_proj.weight", "mlp.switch_mlp.*_proj.weight"]
        .map(|name| name.replace('*', part))
}

impl HubNames {
    /// The names as this checkpoint begins them.
    pub fn of(tensors: &BTreeMap<String, Declared>) -> Self {
        let base = base(tensors);
        // The head lies beside the base or further out.
        let outer = base.match_indices('.').map(|(at, _)| &base[..=at]).rev().chain([""]);
        let heads = outer.map(|outer| format!("{outer}{HEAD}"));
        let head = heads.into_iter().find(|head| tensors.contains_key(head));
        Self { head: head.unwrap_or_else(|| HEAD.to_owned()), base }
    }

    /// Takes one matrix of every expert, in one tensor or one each.
    fn part(
        &self,
        map: &mut TensorMap<'_>,
        layer: usize,
        part: &str,
        [experts, rows, cols]: [usize; 3],
    ) -> Result<Vec<TensorSlice>, FormatError> {
        let stacked = stacked_names(part).map(|name| format!("{}layers.{layer}.{name}", self.base));
        if let Some(name) = stacked.iter().find(|name| map.tensors.contains_key(*name)) {
            return map.stacked(name, experts, rows, cols);
        }
        let one = |e: usize| format!("{}layers.{layer}.mlp.experts.{e}.{part}_proj.weight", self.base);
        (0..experts).map(|expert| map.matrix(&one(expert), rows, cols)).collect()
    }
}

fn base(tensors: &BTreeMap<String, Declared>) -> String {
    let bases = |anchor: &'static str| {
        let whole = |base: &&str| base.is_empty() || base.ends_with('.');
        tensors.keys().filter_map(move |name| name.strip_suffix(anchor)).filter(whole)
    };
    let has = |base: &str, anchor: &str| tensors.contains_key(&format!("{base}{anchor}"));
    let usual = has(BASE, EMBEDDING) || has(BASE, FIRST_NORM);
    let found = bases(EMBEDDING).find(|base| has(base, FIRST_NORM)).or_else(|| bases(EMBEDDING).next());
    match found.or_else(|| bases(FIRST_NORM).next()) {
        Some(base) if !usual => base.to_owned(),
        _ => BASE.to_owned(),
    }
}

impl Names for HubNames {
    fn embedding(&self) -> String {
        format!("{}{EMBEDDING}", self.base)
    }

    fn output_norm(&self) -> String {
        format!("{}{OUTPUT_NORM}", self.base)
    }

    fn head(&self) -> String {
        self.head.clone()
    }

    fn layer(&self, layer: usize) -> [String; 9] {
        IN_LAYER.map(|name| format!("{}layers.{layer}.{name}.weight", self.base))
    }

    fn experts(
        &self,
        map: &mut TensorMap<'_>,
        c: &ModelConfig,
        layer: usize,
    ) -> Result<Vec<ExpertParts>, FormatError> {
        let both = GATE_UP.map(|name| format!("{}layers.{layer}.{name}", self.base));
        let both = both.iter().find(|name| map.tensors.contains_key(*name));
        let [gate, up] = match both {
            Some(name) => map.stacked_pairs(name, c.experts, c.expert_width, c.hidden)?,
            None => {
                let mut one = |part| self.part(map, layer, part, [c.experts, c.expert_width, c.hidden]);
                [one("gate")?, one("up")?]
            }
        };
        let down = self.part(map, layer, "down", [c.experts, c.hidden, c.expert_width])?;
        let parts = gate.into_iter().zip(up).zip(down);
        Ok(parts.map(|((gate, up), down)| ExpertParts { gate, up, down }).collect())
    }

    fn is_part(&self, name: &str) -> bool {
        let Some(name) = name.strip_prefix(&self.base) else { return name == self.head };
        let name = without_numbers(name);
        let Some(kind) = name.strip_prefix("layers.#.") else {
            return [EMBEDDING, OUTPUT_NORM].contains(&&*name);
        };
        let one = |part: &str| kind == format!("mlp.experts.#.{part}_proj.weight");
        let expert = |part: &str| one(part) || stacked_names(part).iter().any(|name| name == kind);
        GATE_UP.contains(&kind)
            || kind.strip_suffix(".weight").is_some_and(|kind| IN_LAYER.contains(&kind))
            || ["gate", "up", "down"].into_iter().any(expert)
    }
}
