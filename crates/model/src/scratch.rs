//! Every buffer a forward pass writes, made once. Shapes: `n` tokens of a chunk, `k` experts each.

use hotset_base::{Bytes, Choice, Contribution, ExpertId};
use hotset_format::ModelConfig;
use hotset_kernels::{Int8Buffer, Pair};
use hotset_policy::route::Decision;
use hotset_residency::Arrived;

/// Tokens whose logits are computed together.
pub(crate) const HEAD_ROWS: usize = 8;

/// What quantised weights are multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// Vectors rounded to int8 where the weights have a kernel for it: two to three times faster.
    #[default]
    Int8,
    /// The f32 numbers: exact to f32 rounding.
    F32,
}

impl Activations {
    /// Room for the int8 forms of `count` vectors of `len` numbers, or none.
    pub fn buffer(self, count: usize, len: usize) -> Int8Buffer {
        match self {
            Self::Int8 => Int8Buffer::new(count, len),
            Self::F32 => Int8Buffer::none(),
        }
    }
}

/// The buffers. Owned by the model, overwritten by every pass.
pub struct Scratch {
    /// `[n, hidden]`: the residual stream.
    pub(crate) x: Vec<f32>,
    /// `[n, hidden]`: normalised input of attention, experts and head.
    pub(crate) normed: Vec<f32>,
    /// `[n, hidden]` or `[n, heads * head_dim]`: the input of a matrix in int8.
    pub(crate) int8: Int8Buffer,
    /// `[n, hidden]`: what a block adds to the residual stream.
    pub(crate) delta: Vec<f32>,
    /// `[n, heads * head_dim]`
    pub(crate) q: Vec<f32>,
    /// `[n, kv_heads * head_dim]`
    pub(crate) k: Vec<f32>,
    /// `[n, kv_heads * head_dim]`
    pub(crate) v: Vec<f32>,
    /// `[n, heads * head_dim]`: attention before the output projection.
    pub(crate) attended: Vec<f32>,
    /// `[n, head_dim / 2]`
    pub(crate) cos: Vec<f32>,
    /// `[n, head_dim / 2]`
    pub(crate) sin: Vec<f32>,
    /// `[n, experts]`: router scores.
    pub(crate) scores: Vec<f32>,
    /// `[n, k]`
    pub(crate) choices: Vec<Choice>,
    /// `[n, k]`: the native picks.
    pub(crate) native: Vec<Choice>,
    /// `[n]`: how many of each token's `k` places are taken.
    pub(crate) chosen: Vec<usize>,
    /// The decision about the last layer-token.
    pub(crate) decision: Decision,
    /// Up to `[experts]`: those to bring in without waiting.
    pub(crate) admitted: Vec<ExpertId>,
    /// Up to `[k]`: what the experts of a token did.
    pub(crate) contributions: Vec<Contribution>,
    /// `[n * k]`: (token, pick) pairs grouped by expert.
    pub(crate) pairs: Vec<Pair>,
    /// `[experts + 1]`: where each expert's pairs start.
    pub(crate) starts: Vec<usize>,
    /// Up to `[experts]`: the distinct chosen experts.
    pub(crate) wanted: Vec<ExpertId>,
    /// Up to `[experts]`: those that have just become ready.
    pub(crate) arrived: Vec<Arrived>,
    /// `[n, experts]`: scores of a later layer's router.
    pub(crate) next_scores: Vec<f32>,
    /// `[experts]`: tokens whose predicted picks have the expert, and its best score.
    pub(crate) votes: Vec<(u32, f32)>,
    /// What would be decided about a layer-token to come.
    pub(crate) foreseen: Decision,
    /// Up to `[n * k]` or `[experts]`: what a later layer will probably want, by row or of a prompt's together.
    pub(crate) predicted: Vec<ExpertId>,
    /// Up to `[n]`: where the predictions from each row end.
    pub(crate) predicted_ends: Vec<usize>,
    /// `[n * k, expert_width]`: SwiGLU activations.
    pub(crate) activations: Vec<f32>,
    /// `[n * k, expert_width]`: those in int8.
    pub(crate) activations_int8: Int8Buffer,
    /// `[n * k, hidden]`: the output of each pick.
    pub(crate) outputs: Vec<f32>,
    /// Up to `[n]`: the rows of the pass that want logits.
    pub(crate) wants_logits: Vec<u32>,
    /// `[HEAD_ROWS, vocab]`
    pub(crate) logits: Vec<f32>,
}

impl Scratch {
    /// Buffers for chunks of up to `n` tokens.
    pub fn new(config: &ModelConfig, n: usize, kind: Activations) -> Self {
        let c = config;
        let (q, kv, picks) = (c.heads * c.head_dim, c.kv_heads * c.head_dim, n * c.top_k);
        let floats = |len: usize| vec![0.0; len];
        Self {
            x: floats(n * c.hidden),
            normed: floats(n * c.hidden),
            int8: kind.buffer(n, c.hidden.max(q)),
            delta: floats(n * c.hidden),
            q: floats(n * q),
            k: floats(n * kv),
            v: floats(n * kv),
            attended: floats(n * q),
            cos: floats(n * c.head_dim / 2),
            sin: floats(n * c.head_dim / 2),
            scores: floats(n * c.experts),
            choices: vec![Choice::NONE; picks],
            native: vec![Choice::NONE; picks],
            chosen: vec![0; n],
            decision: Decision::default(),
            admitted: Vec::with_capacity(c.experts),
            contributions: Vec::with_capacity(c.top_k),
            pairs: vec![Pair { input: 0, output: 0 }; picks],
            starts: vec![0; c.experts + 1],
            wanted: Vec::with_capacity(c.experts),
            arrived: Vec::with_capacity(c.experts),
            next_scores: floats(n * c.experts),
            votes: vec![(0, 0.0); c.experts],
            foreseen: Decision::default(),
            predicted: Vec::with_capacity(picks.max(c.experts)),
            predicted_ends: Vec::with_capacity(n),
            activations: floats(picks * c.expert_width),
            activations_int8: kind.buffer(picks, c.expert_width),
            outputs: floats(picks * c.hidden),
            wants_logits: Vec::with_capacity(n),
            logits: floats(n.min(HEAD_ROWS) * c.vocab),
        }
    }

    /// Memory the buffers take.
    pub fn planned_bytes(config: &ModelConfig, n: usize, kind: Activations) -> Bytes {
        let c = config;
        let per_token = 3 * c.hidden
            + 2 * c.heads * c.head_dim
            + 2 * c.kv_heads * c.head_dim
            + c.head_dim
            + 2 * c.experts
            + 3
            + c.top_k * (c.expert_width + c.hidden + 7);
        let floats = Bytes(4 * (n * per_token + n.min(HEAD_ROWS) * c.vocab + 10 * c.experts) as u64);
        let int8 = match kind {
            Activations::Int8 => {
                let inputs = Int8Buffer::planned_bytes(n, c.hidden.max(c.heads * c.head_dim));
                inputs + Int8Buffer::planned_bytes(n * c.top_k, c.expert_width)
            }
            Activations::F32 => Bytes(0),
        };
        floats + int8
    }
}
