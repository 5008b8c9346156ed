//! Names of the keys, and the numbers that stand for kinds of tokens.

use hotset_base::Architecture;

/// In front of the names of its keys.
pub(super) const ARCHITECTURE: &str = Architecture::Qwen3Moe.name();
pub(super) const ARCHITECTURE_KEY: &str = "general.architecture";
pub(super) const NORM_TOPK_KEY: &str = "qwen3moe.expert_weights_norm";
pub(super) const NAME_KEY: &str = "general.name";
/// `model`, or what else the file is: `adapter`, `imatrix`.
pub(super) const TYPE_KEY: &str = "general.type";
pub(super) const SCALING_KEY: &str = "qwen3moe.rope.scaling.type";
pub(super) const HIDDEN_ACT_KEY: &str = "qwen3moe.hidden_act";
pub(super) const TEMPLATE_KEY: &str = "tokenizer.chat_template";

pub(super) const MODEL_KEY: &str = "tokenizer.ggml.model";
pub(super) const PRE_KEY: &str = "tokenizer.ggml.pre";

/// Arrays that are read, all of them the vocabulary's.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
/// Ids that end an answer, as some converters write them in place of one.
pub(super) const STOP_IDS: &str = "tokenizer.ggml.eos_token_ids";
pub(super) const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";

/// `llama_token_type`
pub(super) const NORMAL: i32 = 1;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;
