//! What the numbers of the residual stream mean in a synthetic model.
//!
//! ```text
//! | popularity | topic | token | lane 0 | lane 1 | ... |
//! ```
//!
//! The embedding fills the first three. The layers' outputs go to lanes: what is added between the
//! router of layer `l - 1` and that of layer `l` goes to lane `l`, and only router `l` looks at it. So
//! the same surprise waits at every router, and the planted parts reach the last layer unburied.

use std::ops::Range;

use hotset_format::ModelConfig;

use super::calibration::{ATTENTION_OUTPUT, EXPERT_OUTPUT, UNWRITTEN};

/// The division of the residual stream.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    pub popularity: Range<usize>,
    pub topic: Range<usize>,
    pub token: Range<usize>,
    /// All lanes.
    lanes: Range<usize>,
    lane_width: usize,
    hidden: usize,
}

/// Narrower lanes would make the surprise too much the same from token to token.
const LEAST_LANE: usize = 8;

impl Residual {
    pub fn of(config: &ModelConfig) -> Self {
        let hidden = config.hidden;
        let popularity = 0..hidden / 64;
        let topic = popularity.end..popularity.end + hidden / 8;
        let lanes = hidden / 2..hidden;
        let lane_width = (lanes.len() / config.layers).max(LEAST_LANE);
        Self { token: topic.end..lanes.start, popularity, topic, lanes, lane_width, hidden }
    }

    /// Where what is new to the router of `layer` is written; the lanes of a deep and narrow model
    /// overlap.
    pub fn lane(&self, layer: usize) -> Range<usize> {
        let whole = self.lanes.len() / self.lane_width;
        let start = self.lanes.start + layer % whole * self.lane_width;
        start..start + self.lane_width
    }

    /// Root mean square of what is in a lane that was written once.
    pub fn lane_rms(&self) -> f32 {
        ATTENTION_OUTPUT.hypot(EXPERT_OUTPUT)
    }

    /// Root mean square of the whole residual stream at the router of `layer`: the norm before the
    /// router divides by it.
    pub fn rms(&self, layer: usize) -> f32 {
        let embedded = self.lanes.start as f32 + self.lanes.len() as f32 * UNWRITTEN * UNWRITTEN;
        let written = ((layer + 1) * self.lane_width) as f32 * self.lane_rms() * self.lane_rms();
        ((embedded + written) / self.hidden as f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{PRESETS, preset};

    #[test]
    fn the_parts_follow_each_other_and_lanes_stay_inside() {
        for name in PRESETS {
            let config = preset(name).unwrap();
            let residual = Residual::of(&config);
            assert_eq!(residual.popularity.end, residual.topic.start);
            assert_eq!(residual.topic.end, residual.token.start);
            assert_eq!(residual.token.end, residual.lanes.start);
            for layer in 0..config.layers {
                let lane = residual.lane(layer);
                assert!(lane.start >= residual.lanes.start && lane.end <= config.hidden, "{name} {layer}");
            }
        }
    }
}
