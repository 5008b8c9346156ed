//! What a model is, whichever format it came in: one description that packing, printing and running
//! all start from.

use hotset_base::{Architecture, Bytes, ExpertKey, Extent, Families, FileId, WeightType, limits};
use serde::{Deserialize, Serialize};

use crate::{FormatError, ModelFile, RopeScaling, SpecialTokens};

/// The format a checkpoint was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A Hugging Face directory: config.json and safetensors.
    HuggingFace,
    /// One GGUF file or a split set of them.
    Gguf,
    /// A packed store (docs/store-format.md).
    Store,
}

/// The shape of a Qwen3-MoE model. Source: config.json or `qwen3moe.*` GGUF metadata.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name for people; from the directory, `general.name` or the file name.
    pub name: String,
    /// Transformer layers, every one with experts.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Experts of one layer.
    pub experts: usize,
    /// Experts used per token.
    pub top_k: usize,
    /// Rows of gate and up of one expert.
    pub expert_width: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// Positions the model was trained for.
    pub context: usize,
    /// Epsilon of every RMSNorm.
    pub rms_eps: f32,
    /// Base of the rotary embedding.
    pub rope_theta: f32,
    /// How its positions are stretched; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    /// Whether the chosen experts' softmax weights are renormalised to sum 1.
    pub norm_topk: bool,
}

impl ModelConfig {
    /// Weights of the longest row of any matrix.
    pub fn longest_row(&self) -> usize {
        self.hidden.max(self.expert_width).max(self.heads * self.head_dim)
    }

    /// Checks every number against its limit and the numbers against each other. The error is a
    /// phrase that names the field, for the caller to put a file name before.
    pub fn check(&self) -> Result<(), String> {
        let bounded = [
            ("number of layers", self.layers, limits::MAX_LAYERS),
            ("hidden size", self.hidden, limits::MAX_WIDTH),
            ("number of attention heads", self.heads, limits::MAX_HEADS),
            ("number of key/value heads", self.kv_heads, limits::MAX_HEADS),
            ("head size", self.head_dim, limits::MAX_WIDTH),
            ("number of experts", self.experts, limits::MAX_EXPERTS),
            ("number of experts per token", self.top_k, limits::MAX_TOP_K),
            ("expert width", self.expert_width, limits::MAX_WIDTH),
            ("vocabulary", self.vocab, limits::MAX_VOCAB),
            ("context length", self.context, usize::MAX),
        ];
        for (what, value, limit) in bounded {
            if value == 0 || value > limit {
                return Err(format!("{what} is {value}, it must be from 1 to {limit}"));
            }
        }
        if self.top_k > self.experts {
            return Err(format!("uses {} experts per token but has only {}", self.top_k, self.experts));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "{} heads do not share {} key/value heads evenly",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("head size {} is odd, rotary embedding needs pairs", self.head_dim));
        }
        if !(self.rms_eps.is_finite() && self.rms_eps >= 0.0 && self.rms_eps < 1.0) {
            return Err(format!("RMSNorm epsilon {} makes no sense", self.rms_eps));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 1.0) {
            return Err(format!("rotary base {} makes no sense", self.rope_theta));
        }
        self.rope_scaling.map_or(Ok(()), |scaling| scaling.check())
    }
}

/// One matrix (or vector: `rows` = 1) of weights inside a file, row-major.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TensorSlice {
    /// Where the bytes are.
    pub extent: Extent,
    /// How they are stored.
    pub ty: WeightType,
    /// Output features.
    pub rows: usize,
    /// Input features: the length of a row.
    pub cols: usize,
    /// CRC-32C of the bytes where the format carries one (the packed store does).
    pub crc: Option<u32>,
}

/// The three matrices of one expert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExpertParts {
    /// `[expert_width, hidden]`
    pub gate: TensorSlice,
    /// `[expert_width, hidden]`
    pub up: TensorSlice,
    /// `[hidden, expert_width]`
    pub down: TensorSlice,
}

impl ExpertParts {
    /// Gate, up, down: the order in which an expert is read and computed.
    pub fn in_order(&self) -> [TensorSlice; 3] {
        [self.gate, self.up, self.down]
    }

    /// Bytes of all three.
    pub fn bytes(&self) -> Bytes {
        self.in_order().iter().map(|part| part.extent.bytes).sum()
    }
}

/// The tensors of one layer that every token needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DenseLayer {
    /// RMSNorm before attention, `[1, hidden]`.
    pub attn_norm: TensorSlice,
    /// `[heads * head_dim, hidden]`
    pub q: TensorSlice,
    /// `[kv_heads * head_dim, hidden]`
    pub k: TensorSlice,
    /// `[kv_heads * head_dim, hidden]`
    pub v: TensorSlice,
    /// `[hidden, heads * head_dim]`
    pub o: TensorSlice,
    /// RMSNorm over each query head, `[1, head_dim]`.
    pub q_norm: TensorSlice,
    /// RMSNorm over each key head, `[1, head_dim]`.
    pub k_norm: TensorSlice,
    /// RMSNorm before the experts, `[1, hidden]`.
    pub ffn_norm: TensorSlice,
    /// Router, `[experts, hidden]`.
    pub router: TensorSlice,
}

/// Every tensor that is not an expert's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DenseTensors {
    /// `[vocab, hidden]`
    pub embedding: TensorSlice,
    /// Final RMSNorm, `[1, hidden]`.
    pub output_norm: TensorSlice,
    /// `[vocab, hidden]`; `None` where the embedding serves as the head (tied).
    pub head: Option<TensorSlice>,
    /// In layer order.
    pub layers: Vec<DenseLayer>,
}

impl DenseTensors {
    /// Canonical (GGUF) name and place of every dense tensor, in the order they are stored.
    pub fn named(&self) -> Vec<(String, TensorSlice)> {
        let mut all = vec![("token_embd.weight".to_owned(), self.embedding)];
        for (i, layer) in self.layers.iter().enumerate() {
            let parts = [
                ("attn_norm", layer.attn_norm),
                ("attn_q", layer.q),
                ("attn_k", layer.k),
                ("attn_v", layer.v),
                ("attn_output", layer.o),
                ("attn_q_norm", layer.q_norm),
                ("attn_k_norm", layer.k_norm),
                ("ffn_norm", layer.ffn_norm),
                ("ffn_gate_inp", layer.router),
            ];
            all.extend(parts.map(|(name, tensor)| (format!("blk.{i}.{name}.weight"), tensor)));
        }
        all.push(("output_norm.weight".to_owned(), self.output_norm));
        all.extend(self.head.map(|head| ("output.weight".to_owned(), head)));
        all
    }

    /// The same tensors in the same order.
    pub fn all_mut(&mut self) -> Vec<&mut TensorSlice> {
        let mut all = vec![&mut self.embedding];
        for layer in &mut self.layers {
            let DenseLayer { attn_norm, q, k, v, o, q_norm, k_norm, ffn_norm, router } = layer;
            all.extend([attn_norm, q, k, v, o, q_norm, k_norm, ffn_norm, router]);
        }
        all.push(&mut self.output_norm);
        all.extend(&mut self.head);
        all
    }
}

/// One token of the vocabulary that is matched before byte-level BPE.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text, verbatim.
    pub content: String,
    /// Control tokens are not printed.
    pub special: bool,
}

/// A byte-level BPE vocabulary with the qwen2 pre-tokenizer.
///
/// Plain data: `hotset-text` makes a tokenizer of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenizerSpec {
    /// Byte-level text of each id (`Ġthe`); ids of added tokens and unused rows are empty.
    pub vocab: Vec<String>,
    /// Merge pairs, best first, as ids of left and right part.
    pub merges: Vec<(u32, u32)>,
    /// Added tokens, by id.
    pub added: Vec<AddedToken>,
    /// Ids that end an answer.
    pub stop: Vec<u32>,
    /// Whether texts are taken as they are; else they are put into Unicode's normal form C first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncomposed: bool,
    /// What chat templates call by a role; none in stores that were packed before it was kept.
    #[serde(default, skip_serializing_if = "SpecialTokens::is_empty")]
    pub special: SpecialTokens,
}

/// A complete, checked description of a model on disk. No weight has been read yet.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The format it was read from.
    pub origin: Origin,
    /// How it computes.
    pub architecture: Architecture,
    /// Its files; every extent points into one of them.
    pub files: Vec<ModelFile>,
    /// Shape.
    pub config: ModelConfig,
    /// Everything that is not an expert.
    pub dense: DenseTensors,
    /// Layer-major: `experts[layer * config.experts + expert]`.
    pub experts: Vec<ExpertParts>,
    /// Vocabulary.
    pub tokenizer: TokenizerSpec,
    /// Jinja source, if the model carries one.
    pub chat_template: Option<String>,
    /// Identity of a packed store: BLAKE3 over its tables, in hexadecimal.
    pub store_id: Option<String>,
    /// Memory budget the packer suggests when the user names none.
    pub suggested_memory: Option<Bytes>,
    /// Recipe that a packed store was made with.
    pub recipe: Option<String>,
    /// Families of experts, one partition for every layer; none if the file has none.
    pub families: Vec<Families>,
    /// What was read otherwise than the files say, or not used, a sentence each, safe to print on one line:
    /// the command that opens the model tells its user.
    pub warnings: Vec<String>,
}

impl Checkpoint {
    /// The three matrices of one expert.
    pub fn expert(&self, key: ExpertKey) -> &ExpertParts {
        &self.experts[key.flat(self.config.experts)]
    }

    /// The file an extent points into.
    pub fn file(&self, id: FileId) -> &ModelFile {
        &self.files[id.index()]
    }

    /// Bytes of all dense tensors.
    pub fn dense_bytes(&self) -> Bytes {
        self.dense.named().iter().map(|(_, tensor)| tensor.extent.bytes).sum()
    }

    /// Bytes of all experts.
    pub fn expert_bytes(&self) -> Bytes {
        self.experts.iter().map(ExpertParts::bytes).sum()
    }

    /// Refuses a model any of whose files changed since it was opened.
    ///
    /// # Errors
    /// As [`ModelFile::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<(), FormatError> {
        self.files.iter().try_for_each(ModelFile::check_unchanged)
    }
}
