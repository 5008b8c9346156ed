//! Where the demand of a layer-token comes from: the record, or a routing policy over the recorded scores.

use half::f16;
use hotset_base::LayerId;
use hotset_policy::route::{Choice, NotFinite, Route};

use crate::Demand;

/// Makes a routing policy, a fresh one for every setting.
pub type RouterMaker<'a> = &'a (dyn Fn() -> Box<dyn Route> + Sync);

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
        /// Room for the chosen set.
        chosen: Vec<Choice>,
    },
}

impl Router {
    pub fn new(maker: Option<RouterMaker<'_>>, demand: &Demand) -> Self {
        let Some(make) = maker else { return Self::Recorded };
        let header = demand.header();
        Self::Policy {
            policy: make(),
            logits: vec![0.0; header.experts],
            chosen: vec![Choice::NONE; header.top_k],
        }
    }

    /// The chosen set of one layer-token; empty where nothing was recorded.
    pub fn choose<'a>(
        &'a mut self,
        demand: &'a Demand,
        (token, layer): (usize, LayerId),
        hot: &[bool],
    ) -> Result<&'a [Choice], NotFinite> {
        let recorded = demand.chosen(token, layer);
        let Self::Policy { policy, logits, chosen } = self else { return Ok(recorded) };
        if recorded.is_empty() {
            return Ok(recorded);
        }
        let probabilities = demand.probabilities(token, layer);
        let log = |p: &f16| p.to_f32().max(SMALLEST).ln();
        logits.iter_mut().zip(probabilities).for_each(|(logit, p)| *logit = log(p));
        policy.route(layer, logits, hot, chosen)?;
        Ok(chosen)
    }
}
