//! Where the demand of a layer-token comes from: the record, or a routing policy over the recorded scores.

use half::f16;
use hotset_base::{Bytes, Choice, LayerId, Phase};
use hotset_policy::route::{Decision, NotFinite, Route, RouterShape, RowView};

use crate::Demand;

/// Makes a routing policy, a fresh one for every setting.
pub type RouterMaker<'a> = &'a (dyn Fn(RouterShape) -> Box<dyn Route> + Sync);

/// What a probability of zero counts as: half of the smallest f16. Logits must be finite.
const SMALLEST: f32 = 1.0 / (1u64 << 25) as f32;

/// See the module's text.
pub(crate) enum Router {
    /// What was chosen is chosen again.
    Recorded,
    /// The policy chooses.
    Policy {
        policy: Box<dyn Route>,
        /// `[experts]`: log p, which is the logits but for a constant.
        logits: Vec<f32>,
        decision: Box<Decision>,
    },
}

impl Router {
    pub fn new(maker: Option<RouterMaker<'_>>, demand: &Demand, slots: usize) -> Self {
        let Some(make) = maker else { return Self::Recorded };
        let header = demand.header();
        let shape = RouterShape {
            layers: header.layers,
            experts: header.experts,
            top_k: header.top_k,
            norm_topk: header.norm_topk,
            slots: slots as f32,
        };
        Self::Policy { policy: make(shape), logits: vec![0.0; header.experts], decision: Box::default() }
    }

    /// The chosen set of one layer-token; empty where nothing was recorded. All tokens are routed as decoded
    /// ones. A trace knows neither what experts compute nor how long reads take: contributions and deadlines
    /// are without effect, and nothing is admitted.
    pub fn choose<'a>(
        &'a mut self,
        demand: &'a Demand,
        (token, layer): (usize, LayerId),
        held: &[bool],
    ) -> Result<&'a [Choice], NotFinite> {
        let recorded = demand.chosen(token, layer);
        let Self::Policy { policy, logits, decision } = self else { return Ok(recorded) };
        if recorded.is_empty() {
            return Ok(recorded);
        }
        let probabilities = demand.probabilities(token, layer);
        let log = |p: &f16| p.to_f32().max(SMALLEST).ln();
        logits.iter_mut().zip(probabilities).for_each(|(logit, p)| *logit = log(p));
        let view = RowView {
            layer,
            tokens_routed: token as u64,
            pass: token as u64,
            phase: Phase::Narration,
            logits,
            held,
            expert_bytes: Bytes(demand.header().expert_bytes[layer.index()]),
            read_us: 0.0,
            records: &[],
        };
        policy.route(&view, decision)?;
        Ok(&decision.chosen)
    }
}
