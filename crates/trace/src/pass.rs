//! One forward pass as a trace has it: some tokens, and every layer's visit to them.

use std::time::Duration;

use half::f16;
use hotset_base::{Choice, ExpertId, LayerId, Phase, RowKind, SequenceId};

/// Tokens computed together: one while decoding, a chunk of a prompt, one of each of several texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// In the order in which they were computed.
    pub rows: Vec<TraceRow>,
    /// One for every layer, in order.
    pub visits: Vec<Visit>,
}

/// One token of a pass. Fields as in [`hotset_base::Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// The text it belongs to.
    pub sequence: SequenceId,
    /// Its place there.
    pub position: u32,
    /// `None` where the source does not say.
    pub token: Option<u32>,
    /// What it is for.
    pub phase: Phase,
    /// Where it comes from; of a trace of version 1, what its phase says of that.
    pub kind: RowKind,
}

impl TraceRow {
    /// A row of the only text there is, of the kind that goes with its phase.
    pub fn of_one_text(phase: Phase, position: u32, token: Option<u32>) -> Self {
        let kind = if phase.is_decoding() { RowKind::Decode } else { RowKind::Prompt };
        Self { sequence: SequenceId(0), position, token, phase, kind }
    }
}

impl From<&hotset_base::Row> for TraceRow {
    fn from(row: &hotset_base::Row) -> Self {
        let &hotset_base::Row { sequence, position, token, phase, kind, .. } = row;
        Self { sequence, position, token: Some(token), phase, kind }
    }
}

/// One layer's turn in a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The layer.
    pub layer: LayerId,
    /// `[experts]`: ready when the routing decision of all tokens of the pass was made.
    pub hot: Vec<bool>,
    /// Reads of the visit.
    pub reads: Reads,
    /// Time that compute waited for reads.
    pub stall: Duration,
    /// One for every token of the pass.
    pub layer_tokens: Vec<LayerToken>,
}

/// A layer's visit, without its layer-tokens. Fields as in [`Visit`].
#[derive(Clone, Copy, Debug)]
pub struct VisitHead<'a> {
    /// The layer.
    pub layer: LayerId,
    /// `[experts]`
    pub hot: &'a [bool],
    /// Reads of the visit.
    pub reads: Reads,
    /// Time that compute waited for them.
    pub stall: Duration,
}

/// Reads of one visit, in experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Begun because the visit wanted the expert.
    pub demand: u16,
    /// Wanted while a prefetch of it was under way.
    pub late: u16,
    /// Begun for a later layer.
    pub prefetch: u16,
}

/// One layer evaluated for one token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerToken {
    /// The chosen set in the order of the policy, with mixing weights; empty where nothing was recorded.
    pub chosen: Vec<Choice>,
    /// `[experts]`: the router's softmax; empty where the source has none.
    pub probabilities: Vec<f16>,
}

impl Visit {
    /// The expert was ready when it was chosen.
    pub fn is_hot(&self, expert: ExpertId) -> bool {
        self.hot[expert.index()]
    }
}
