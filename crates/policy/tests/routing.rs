//! What every routing policy promises, over random layer-tokens and a small cache.

use hotset_base::{Bytes, Contribution, ExpertId, Families, LayerId, Phase, SequenceId};
use hotset_policy::contexts::{Contexts, ContextsOptions, ContextsShape};
use hotset_policy::route::{
    CachePriorOptions, Decision, DropOptions, RouterOptions, RouterShape, RowView, StrictOptions,
    TrustOptions,
};
use proptest::prelude::*;

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

const SHAPE: RouterShape = RouterShape { layers: 3, experts: 40, top_k: 6, norm_topk: true, slots: 12.0 };
const EXPERT: Bytes = Bytes(1000);

/// What one layer-token did.
struct Outcome {
    tokens_routed: u64,
    phase: Phase,
    layer: usize,
    logits: Vec<f32>,
    held: Vec<bool>,
    decision: Decision,
}

impl Outcome {
    /// Experts that are waited for.
    fn waited(&self) -> usize {
        self.decision.chosen.iter().filter(|c| !self.held[c.expert.index()]).count()
    }

    /// A layer with nothing held has to read something, whatever the budgets say.
    fn forced(&self) -> bool {
        self.held.iter().all(|held| !held) && self.waited() == 1
    }

    fn chose(&self, expert: ExpertId) -> bool {
        self.decision.chosen.iter().any(|c| c.expert == expert)
    }

    /// Places of the chosen experts in the native order.
    fn ranks(&self) -> Vec<usize> {
        self.decision.chosen.iter().map(|c| self.rank(c.expert)).collect()
    }

    fn rank(&self, expert: ExpertId) -> usize {
        let own = self.logits[expert.index()];
        let before = |e: &usize| self.logits[*e] > own || (self.logits[*e] == own && *e < expert.index());
        (0..self.logits.len()).filter(before).count()
    }
}

/// A row that is decoded.
fn row<'a>(layer: usize, tokens_routed: usize, logits: &'a [f32], held: &'a [bool]) -> RowView<'a> {
    RowView {
        layer: LayerId(layer as u16),
        tokens_routed: tokens_routed as u64,
        pass: tokens_routed as u64,
        phase: Phase::Narration,
        logits,
        held,
        expert_bytes: EXPERT,
        read_us: 100.0,
        records: &[],
    }
}

/// Runs a policy beside a cache of `SHAPE.slots` experts per layer, first in, first out.
fn run(policy: RouterOptions, text: &[Vec<Vec<f32>>], phase: impl Fn(usize) -> Phase) -> Vec<Outcome> {
    let mut router = policy.build(SHAPE, &families());
    let learns = ContextsOptions { context_window: 2, ..ContextsOptions::default() };
    let mut contexts = Contexts::new(ContextsShape { layers: SHAPE.layers, experts: SHAPE.experts }, learns);
    let mut caches: Vec<Vec<usize>> = vec![Vec::new(); SHAPE.layers];
    let mut out = Vec::new();
    for (tokens_routed, layers) in text.iter().enumerate() {
        contexts.enter_pass(TEXT, 1);
        for (layer, logits) in layers.iter().enumerate() {
            let held: Vec<bool> = (0..SHAPE.experts).map(|e| caches[layer].contains(&e)).collect();
            let token = RowView {
                phase: phase(tokens_routed),
                records: contexts.present_records(TEXT, LayerId(layer as u16)),
                ..row(layer, tokens_routed, logits, &held)
            };
            let mut decision = Decision::default();
            router.route(&token, &mut decision).unwrap();
            let layer_id = token.layer;
            contexts.observe(TEXT, layer_id, 0, &decision.native);
            let used: Vec<Contribution> = decision.chosen.iter().map(|c| did(c.expert, c.weight)).collect();
            contexts.contribute(TEXT, layer_id, &used);
            let cache = &mut caches[layer];
            for expert in decision.chosen.iter().map(|c| c.expert).chain(decision.admit.iter().copied()) {
                if !cache.contains(&expert.index()) {
                    cache.push(expert.index());
                }
            }
            cache.drain(..cache.len().saturating_sub(SHAPE.slots as usize));
            let (tokens_routed, phase, logits) = (tokens_routed as u64, phase(tokens_routed), logits.clone());
            out.push(Outcome { tokens_routed, phase, layer, logits, held, decision });
        }
        contexts.advance(TEXT, 1);
    }
    out
}

/// Eight families of five in every layer.
fn families() -> Vec<Families> {
    let labels: Vec<u16> = (0..SHAPE.experts).map(|expert| expert as u16 % 8).collect();
    vec![Families::group(&labels); SHAPE.layers]
}

fn decode(policy: RouterOptions, text: &[Vec<Vec<f32>>]) -> Vec<Outcome> {
    run(policy, text, |_| Phase::Narration)
}

fn did(expert: ExpertId, weight: f32) -> Contribution {
    Contribution { expert, weight, share: weight * (0.5 + f32::from(expert.0 % 7) * 0.2) }
}

/// `[tokens][layers][experts]`
fn texts(most: usize) -> impl Strategy<Value = Vec<Vec<Vec<f32>>>> {
    let logits = proptest::collection::vec(-4f32..4.0, SHAPE.experts);
    proptest::collection::vec(proptest::collection::vec(logits, SHAPE.layers), 1..most)
}

fn trust() -> impl Strategy<Value = TrustOptions> {
    let floats = (0f32..0.3, 0f32..1.0, 0f32..1.5, 0f32..2.0, 0f32..4.0);
    let counts = (0usize..4, 6usize..40, 0u64..6, 1u64..9, 0u32..4, 1u64..9);
    (floats, counts, any::<bool>()).prop_map(|(f, c, late)| TrustOptions {
        tolerance: f.0,
        mismatch: f.1,
        trust: f.2,
        admission: f.3,
        cost: f.4,
        sacred: c.0,
        substitute_ranks: c.1,
        swap_budget: Bytes(c.2 * EXPERT.0),
        swap_window: c.3,
        explore: c.4,
        explore_window: c.5,
        deadline_us: if late { 250.0 } else { 0.0 },
        ..TrustOptions::default()
    })
}

fn policies() -> impl Strategy<Value = RouterOptions> {
    let prior = (0f32..0.5, 0usize..4, 6usize..40).prop_map(|(lambda, sacred, substitute_ranks)| {
        CachePriorOptions { lambda, sacred, substitute_ranks }
    });
    let strict = (1usize..13, 1u64..6, 1f32..50.0, 0f32..1.0).prop_map(
        |(hot_set, refresh_tokens, half_life, family_share)| StrictOptions {
            hot_set,
            refresh_tokens,
            half_life,
            family_share,
        },
    );
    prop_oneof![
        Just(RouterOptions::Native),
        prior.prop_map(RouterOptions::CachePrior),
        (0f32..1.5).prop_map(|factor| RouterOptions::Drop(DropOptions { factor })),
        strict.prop_map(RouterOptions::Strict),
        trust().prop_map(RouterOptions::Trust),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// One rule: of scores that come true trust predicts what it then chooses, its substitutes and its last
    /// resort too. Where nothing is rationed: what is, is for what is chosen.
    #[test]
    fn trust_chooses_what_it_predicted(text in texts(12), options in trust()) {
        let options = TrustOptions { swap_budget: Bytes(0), deadline_us: 0.0, ..options };
        let mut router = RouterOptions::Trust(options).build(SHAPE, &families());
        let mut caches: Vec<Vec<usize>> = vec![Vec::new(); SHAPE.layers];
        for (tokens_routed, layers) in text.iter().enumerate() {
            for (layer, logits) in layers.iter().enumerate() {
                let held: Vec<bool> = (0..SHAPE.experts).map(|e| caches[layer].contains(&e)).collect();
                let row = row(layer, tokens_routed, logits, &held);
                let (mut predicted, mut decided) = (Decision::default(), Decision::default());
                router.foresee(&row, &mut predicted).unwrap();
                router.route(&row, &mut decided).unwrap();
                prop_assert_eq!(&predicted.chosen, &decided.chosen);
                caches[layer].extend(decided.chosen.iter().map(|choice| choice.expert.index()));
                let excess = caches[layer].len().saturating_sub(SHAPE.slots as usize);
                caches[layer].drain(..excess);
            }
        }
    }

    #[test]
    fn weights_are_the_routers_own_over_the_chosen_set(policy in policies(), text in texts(12)) {
        for outcome in decode(policy, &text) {
            let chosen = &outcome.decision.chosen;
            prop_assert!(!chosen.is_empty() && chosen.len() <= SHAPE.top_k);
            let sum: f64 = chosen.iter().map(|c| f64::from(outcome.logits[c.expert.index()]).exp()).sum();
            for choice in chosen {
                let own = f64::from(outcome.logits[choice.expert.index()]).exp() / sum;
                prop_assert!((f64::from(choice.weight) - own).abs() < 1e-5);
            }
            prop_assert!(outcome.ranks().is_sorted_by(|a, b| a < b), "rank order, nobody twice");
            let native: Vec<usize> = outcome.decision.native.iter().map(|c| outcome.rank(c.expert)).collect();
            prop_assert_eq!(native, (0..SHAPE.top_k).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_same_events_give_the_same_decisions(policy in policies(), text in texts(8)) {
        for (a, b) in decode(policy, &text).into_iter().zip(decode(policy, &text)) {
            prop_assert_eq!((a.decision.chosen, a.decision.admit), (b.decision.chosen, b.decision.admit));
        }
    }

    #[test]
    fn a_prompt_is_routed_as_the_model_does(policy in policies(), text in texts(8)) {
        for outcome in run(policy, &text, |_| Phase::Setup) {
            prop_assert_eq!(outcome.decision.chosen, outcome.decision.native);
        }
    }

    #[test]
    fn cache_prior_keeps_to_its_window_and_keeps_what_is_sacred(
        lambda in 0f32..2.0, sacred in 0usize..6, window in 6usize..20, text in texts(12),
    ) {
        let policy = RouterOptions::CachePrior(CachePriorOptions { lambda, sacred, substitute_ranks: window });
        for outcome in decode(policy, &text) {
            let ranks = outcome.ranks();
            prop_assert_eq!(ranks.len(), SHAPE.top_k);
            prop_assert!(ranks.iter().all(|&rank| rank < window));
            prop_assert!((0..sacred).all(|rank| ranks.contains(&rank)));
        }
    }

    #[test]
    fn drop_leaves_out_what_is_light_and_not_held(factor in 0f32..1.0, text in texts(12)) {
        for outcome in decode(RouterOptions::Drop(DropOptions { factor }), &text) {
            for (rank, native) in outcome.decision.native.iter().enumerate() {
                let heavy = native.weight >= factor / SHAPE.top_k as f32;
                let stays = rank == 0 || heavy || outcome.held[native.expert.index()];
                prop_assert_eq!(outcome.chose(native.expert), stays);
            }
            prop_assert!(outcome.ranks().iter().all(|&rank| rank < SHAPE.top_k));
        }
    }

    #[test]
    fn trust_keeps_to_its_window_and_keeps_what_is_hot_or_sacred(options in trust(), text in texts(12)) {
        let free = TrustOptions { swap_budget: Bytes(0), deadline_us: 0.0, ..options };
        for outcome in decode(RouterOptions::Trust(free), &text) {
            let ranks = outcome.ranks();
            let window = options.substitute_ranks.max(SHAPE.top_k);
            prop_assert!(ranks.iter().all(|&rank| rank < window) || ranks.len() == 1);
            for (rank, native) in outcome.decision.native.iter().enumerate() {
                let stays = rank < options.sacred || outcome.held[native.expert.index()];
                prop_assert!(!stays || outcome.chose(native.expert));
            }
        }
    }

    #[test]
    fn no_window_reads_more_than_the_swap_budget(options in trust(), budget in 1u64..6, text in texts(40)) {
        let swap_budget = Bytes(budget * EXPERT.0);
        let options = TrustOptions { swap_budget, tolerance: options.tolerance + 0.01, ..options };
        let mut reads = vec![0; text.len()];
        for outcome in decode(RouterOptions::Trust(options), &text) {
            let found = outcome.waited() + outcome.decision.admit.len() - usize::from(outcome.forced());
            reads[outcome.tokens_routed as usize] += found as u64;
        }
        for from in 0..reads.len() {
            for to in from + 1..=reads.len() {
                let found: u64 = reads[from..to].iter().sum();
                let allowed = budget * (options.swap_window + (to - from - 1) as u64);
                prop_assert!(found <= allowed, "{found} of {allowed} in {from}..{to}");
            }
        }
    }

    #[test]
    fn the_exploration_allowance_is_kept_in_every_window_of_every_phase(options in trust(), text in texts(40)) {
        let explore = options.explore + 1;
        let options = TrustOptions { explore, tolerance: 0.2, admission: 0.1, ..options };
        let phase = |token: usize| if token % 5 < 2 { Phase::Reasoning } else { Phase::Narration };
        let outcomes = run(RouterOptions::Trust(options), &text, phase);
        for window in 0..=text.len() as u64 / options.explore_window {
            for phase in [Phase::Reasoning, Phase::Narration] {
                let inside = |o: &&Outcome| o.tokens_routed / options.explore_window == window && o.phase == phase;
                let admitted: usize = outcomes.iter().filter(inside).map(|o| o.decision.admit.len()).sum();
                prop_assert!(admitted <= explore as usize);
            }
        }
    }

    #[test]
    fn no_token_waits_past_its_deadline(options in trust(), text in texts(12)) {
        let tolerance = options.tolerance + 0.01;
        let options = TrustOptions { deadline_us: 250.0, swap_budget: Bytes(0), tolerance, ..options };
        let mut waited = vec![0; text.len()];
        for outcome in decode(RouterOptions::Trust(options), &text) {
            waited[outcome.tokens_routed as usize] += outcome.waited() - usize::from(outcome.forced());
        }
        prop_assert!(waited.iter().all(|&reads| reads <= 2), "two reads of 100 us fit: {waited:?}");
    }

    #[test]
    fn trust_that_tolerates_nothing_is_native_bit_for_bit(options in trust(), text in texts(12)) {
        let options = TrustOptions { tolerance: 0.0, ..options };
        let bits = |policy| -> Vec<Vec<(ExpertId, u32)>> {
            let of = |o: Outcome| o.decision.chosen.iter().map(|c| (c.expert, c.weight.to_bits())).collect();
            decode(policy, &text).into_iter().map(of).collect()
        };
        prop_assert_eq!(bits(RouterOptions::Native), bits(RouterOptions::Trust(options)));
    }

    #[test]
    fn strict_uses_no_more_than_its_hot_set(hot_set in 1usize..13, window in 1u64..6, text in texts(20)) {
        let options = StrictOptions { hot_set, refresh_tokens: window, half_life: 20.0, family_share: 0.3 };
        let outcomes = decode(RouterOptions::Strict(options), &text);
        for layer in 0..SHAPE.layers {
            // The hot set is chosen when a window's last token has been seen, for the tokens after it.
            for number in 1..=text.len() as u64 / window {
                let inside = |o: &&Outcome| o.layer == layer && o.tokens_routed / window == number;
                let chosen = outcomes.iter().filter(inside).flat_map(|o| o.decision.chosen.iter());
                let mut used: Vec<ExpertId> = chosen.map(|c| c.expert).collect();
                used.sort_unstable();
                used.dedup();
                prop_assert!(used.len() <= hot_set);
            }
        }
    }
}

/// Of two experts that were never chosen, the hot set takes the one whose family was.
#[test]
fn a_family_counts_for_its_members_in_strict() {
    let logits = |first: usize| {
        (0..SHAPE.experts).map(move |e| if e % 8 == first { 2.0 } else { 0.0 } - e as f32 / 100.0)
    };
    // Experts 0, 8, 16, 24 and 32 are a family; the native six are these and expert 1.
    let text: Vec<Vec<Vec<f32>>> = vec![vec![logits(0).collect(); SHAPE.layers]; 4];
    let chosen = |family_share| {
        let options = StrictOptions { hot_set: 7, refresh_tokens: 2, half_life: 20.0, family_share };
        let mut turned = text.clone();
        // Whoever is in the hot set of expert 1's family is now wanted more than anybody else.
        turned[3].iter_mut().for_each(|layer| (0..5).for_each(|i| layer[1 + 8 * i] = 9.0));
        let outcomes = decode(RouterOptions::Strict(options), &turned);
        let last = outcomes.last().unwrap();
        last.decision.chosen.iter().filter(|c| c.expert.index() % 8 == 1).count()
    };
    assert_eq!((chosen(0.0), chosen(0.5)), (1, 2));
}
