//! A random model of the Qwen3-MoE architecture, small enough to make in a test.

use half::bf16;

use crate::Random;

/// Shape of a tiny model.
#[derive(Clone, Copy, Debug)]
pub struct TinyShape {
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Experts of a layer.
    pub experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of an expert.
    pub expert_width: usize,
    /// Context length.
    pub context: usize,
    /// The embedding is the head.
    pub tied: bool,
}

impl Default for TinyShape {
    fn default() -> Self {
        Self {
            layers: 2,
            hidden: 64,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            experts: 8,
            top_k: 2,
            expert_width: 32,
            context: 256,
            tied: true,
        }
    }
}

impl TinyShape {
    /// Rows that are multiples of 256, as the k-quants need.
    pub fn k_quant() -> Self {
        Self { hidden: 256, heads: 4, head_dim: 64, expert_width: 256, experts: 6, ..Self::default() }
    }
}

/// A tensor of a tiny model.
#[derive(Clone, Debug)]
pub struct TinyTensor {
    /// Name on the hub.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// bf16 numbers.
    pub values: Vec<f32>,
}

/// The model: tensors by their hub names, and a vocabulary of bytes, some merges and the special tokens.
#[derive(Clone, Debug)]
pub struct TinyModel {
    /// Shape.
    pub shape: TinyShape,
    /// Tensors, in the order of layers.
    pub tensors: Vec<TinyTensor>,
    /// Byte-level text of the ordinary tokens, by id.
    pub tokens: Vec<String>,
    /// Merge pairs.
    pub merges: Vec<(String, String)>,
}

/// Special tokens, after the ordinary ones; then come unused rows.
pub const SPECIALS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Rows of the embedding without a token.
const UNUSED: usize = 5;
/// The chat template of the tiny models.
pub const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

impl TinyModel {
    /// Random weights, scaled so that activations keep their size and routing varies.
    pub fn random(shape: TinyShape, seed: u64) -> Self {
        let (tokens, merges) = vocabulary();
        let mut model = Self { shape, tensors: Vec::new(), tokens, merges };
        let mut random = Random::new(seed);
        let s = shape;
        let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        model.matrix(&mut random, "model.embed_tokens.weight".into(), model.vocab(), s.hidden, 1.0);
        for i in 0..s.layers {
            let layer = |name: &str| format!("model.layers.{i}.{name}.weight");
            let scale = |cols: usize| 1.0 / (cols as f32).sqrt();
            model.norm(&mut random, layer("input_layernorm"), s.hidden);
            model.matrix(&mut random, layer("self_attn.q_proj"), q, s.hidden, scale(s.hidden));
            model.matrix(&mut random, layer("self_attn.k_proj"), kv, s.hidden, scale(s.hidden));
            model.matrix(&mut random, layer("self_attn.v_proj"), kv, s.hidden, scale(s.hidden));
            model.matrix(&mut random, layer("self_attn.o_proj"), s.hidden, q, scale(q));
            model.norm(&mut random, layer("self_attn.q_norm"), s.head_dim);
            model.norm(&mut random, layer("self_attn.k_norm"), s.head_dim);
            model.norm(&mut random, layer("post_attention_layernorm"), s.hidden);
            model.matrix(&mut random, layer("mlp.gate"), s.experts, s.hidden, 2.0 * scale(s.hidden));
            for e in 0..s.experts {
                let part = |name: &str| layer(&format!("mlp.experts.{e}.{name}_proj"));
                model.matrix(&mut random, part("gate"), s.expert_width, s.hidden, scale(s.hidden));
                model.matrix(&mut random, part("up"), s.expert_width, s.hidden, scale(s.hidden));
                model.matrix(&mut random, part("down"), s.hidden, s.expert_width, scale(s.expert_width));
            }
        }
        model.norm(&mut random, "model.norm.weight".into(), s.hidden);
        if !s.tied {
            model.matrix(&mut random, "lm_head.weight".into(), model.vocab(), s.hidden, 0.3);
        }
        model
    }

    /// Rows of the embedding.
    pub fn vocab(&self) -> usize {
        self.tokens.len() + SPECIALS.len() + UNUSED
    }

    /// Id of the first special token.
    pub fn first_special(&self) -> usize {
        self.tokens.len()
    }

    fn matrix(&mut self, random: &mut Random, name: String, rows: usize, cols: usize, scale: f32) {
        let values = (0..rows * cols).map(|_| bf16::from_f32(random.normal() * scale).to_f32()).collect();
        self.tensors.push(TinyTensor { name, shape: vec![rows, cols], values });
    }

    fn norm(&mut self, random: &mut Random, name: String, len: usize) {
        let values = (0..len).map(|_| bf16::from_f32(1.0 + 0.1 * random.normal()).to_f32()).collect();
        self.tensors.push(TinyTensor { name, shape: vec![len], values });
    }
}

/// The 256 bytes in the byte-level alphabet of GPT-2, then merges of letter pairs.
fn vocabulary() -> (Vec<String>, Vec<(String, String)>) {
    let printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
    let mut others = 0;
    let mut tokens: Vec<String> = (0..256)
        .map(|b| {
            let code = if printable(b) {
                b
            } else {
                others += 1;
                255 + others
            };
            char::from_u32(code).unwrap_or('?').to_string()
        })
        .collect();
    let mut merges = Vec::new();
    for first in ["t", "e", "a", "Ġ", "n", "s"] {
        for second in ["h", "e", "a", "t", "n", "d", "r"] {
            merges.push((first.to_owned(), second.to_owned()));
            tokens.push(format!("{first}{second}"));
        }
    }
    merges.push(("th".to_owned(), "e".to_owned()));
    tokens.push("the".to_owned());
    (tokens, merges)
}
