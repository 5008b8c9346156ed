//! The model's own choice: top-k of the softmax. Source: the Qwen3-MoE router (`norm_topk_prob`).

use super::{Decision, NotFinite, Route, RouterShape, RowView};

/// C = N, always: what is held does not matter.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    shape: RouterShape,
}

impl Native {
    /// For a model's routers.
    pub fn new(shape: RouterShape) -> Self {
        Self { shape }
    }
}

impl Route for Native {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.foresee(token, out)
    }

    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        out.choose_native(token.layer, token.logits, self.shape.top_k, self.shape.norm_topk)
    }

    fn is_lossy(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::Phase;
    use hotset_base::{Bytes, LayerId};
    use proptest::prelude::*;

    fn try_route(logits: &[f32], k: usize, norm_topk: bool) -> Result<Decision, NotFinite> {
        let (mut out, held) = (Decision::default(), vec![false; logits.len()]);
        let shape = RouterShape { layers: 8, experts: logits.len(), top_k: k, norm_topk, slots: 1.0 };
        let token = RowView {
            layer: LayerId(7),
            tokens_routed: 0,
            pass: 0,
            phase: Phase::Narration,
            logits,
            held: &held,
            expert_bytes: Bytes(1),
            read_us: 0.0,
            records: &[],
        };
        Native::new(shape).route(&token, &mut out)?;
        assert_eq!(out.chosen, out.native);
        Ok(out)
    }

    fn route(logits: &[f32], k: usize, norm_topk: bool) -> Decision {
        try_route(logits, k, norm_topk).unwrap()
    }

    proptest! {
        #[test]
        fn picks_are_those_of_a_full_sort(
            logits in proptest::collection::vec(-30f32..30.0, 1..200),
            k in 1usize..9,
        ) {
            let k = k.min(logits.len());
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
            let picked: Vec<usize> = route(&logits, k, true).chosen.iter().map(|c| c.expert.index()).collect();
            prop_assert_eq!(picked, &order[..k]);
        }

        #[test]
        fn weights_are_the_softmax(logits in proptest::collection::vec(-9f32..9.0, 8..64)) {
            let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            for choice in route(&logits, 8, false).chosen {
                let exact = f64::from(logits[choice.expert.index()]).exp() / sum;
                prop_assert!((f64::from(choice.weight) - exact).abs() < 1e-5);
            }
            let total: f32 = route(&logits, 8, true).chosen.iter().map(|c| c.weight).sum();
            prop_assert!((total - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn equal_scores_go_by_expert_number() {
        let picked: Vec<u16> = route(&[1.0; 16], 4, true).chosen.iter().map(|c| c.expert.0).collect();
        assert_eq!(picked, [0, 1, 2, 3]);
    }

    #[test]
    fn scores_that_are_not_numbers_are_an_error() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let result = try_route(&[0.0, bad, 1.0], 2, true).map(drop);
            assert_eq!(result, Err(NotFinite(LayerId(7))));
        }
    }
}
