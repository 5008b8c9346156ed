//! The model's own choice: top-k of the softmax. Source: the Qwen3-MoE router (`norm_topk_prob`).

use hotset_base::{ExpertId, LayerId};

use super::{Choice, NotFinite, Route};

/// C = N, always: what is hot does not matter.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    norm_topk: bool,
}

impl Native {
    /// `norm_topk`: whether the chosen weights are renormalised to sum 1.
    pub fn new(norm_topk: bool) -> Self {
        Self { norm_topk }
    }
}

impl Route for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn route(
        &mut self,
        layer: LayerId,
        logits: &[f32],
        _hot: &[bool],
        out: &mut [Choice],
    ) -> Result<(), NotFinite> {
        if !logits.iter().all(|x| x.is_finite()) {
            return Err(NotFinite(layer));
        }
        top_k(logits, out);
        softmax_over(logits, out);
        if self.norm_topk {
            let sum: f32 = out.iter().map(|choice| choice.weight).sum();
            out.iter_mut().for_each(|choice| choice.weight /= sum);
        }
        Ok(())
    }
}

/// The largest logits in falling order, by insertion (k is small); equal ones by expert number.
fn top_k(logits: &[f32], out: &mut [Choice]) {
    let mut filled = 0;
    for (expert, &logit) in logits.iter().enumerate() {
        let mut place = filled;
        while place > 0 && out[place - 1].weight < logit {
            place -= 1;
        }
        if place == out.len() {
            continue;
        }
        filled = (filled + 1).min(out.len());
        out[place..filled].rotate_right(1);
        out[place] = Choice { expert: ExpertId(expert as u16), weight: logit };
    }
}

/// Replaces the chosen logits by their softmax over all experts.
fn softmax_over(logits: &[f32], out: &mut [Choice]) {
    let max = out[0].weight;
    let sum: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    for choice in out {
        choice.weight = (choice.weight - max).exp() / sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(logits: &[f32], k: usize, norm_topk: bool) -> Vec<Choice> {
        let mut out = vec![Choice::NONE; k];
        let hot = vec![false; logits.len()];
        Native::new(norm_topk).route(LayerId(0), logits, &hot, &mut out).unwrap();
        out
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
            let picked: Vec<usize> = route(&logits, k, true).iter().map(|c| c.expert.index()).collect();
            prop_assert_eq!(picked, &order[..k]);
        }

        #[test]
        fn weights_are_the_softmax(logits in proptest::collection::vec(-9f32..9.0, 8..64)) {
            let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            for choice in route(&logits, 8, false) {
                let exact = f64::from(logits[choice.expert.index()]).exp() / sum;
                prop_assert!((f64::from(choice.weight) - exact).abs() < 1e-5);
            }
            let total: f32 = route(&logits, 8, true).iter().map(|c| c.weight).sum();
            prop_assert!((total - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn equal_scores_go_by_expert_number() {
        let picked: Vec<u16> = route(&[1.0; 16], 4, true).iter().map(|c| c.expert.0).collect();
        assert_eq!(picked, [0, 1, 2, 3]);
    }

    #[test]
    fn scores_that_are_not_numbers_are_an_error() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut out = [Choice::NONE; 2];
            let result = Native::new(true).route(LayerId(7), &[0.0, bad, 1.0], &[false; 3], &mut out);
            assert_eq!(result, Err(NotFinite(LayerId(7))));
        }
    }
}
