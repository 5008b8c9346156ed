//! Contexts are found, left, known again and replaced; records fade; what is hot follows the mass.

use hotset_base::{Choice, Contribution, ExpertId, ExpertKey, Families, LayerId, SequenceId};
use hotset_policy::contexts::{ContextId, Contexts, ContextsOptions, ContextsShape, Turn};
use proptest::prelude::*;

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

const SHAPE: ContextsShape = ContextsShape { layers: 3, experts: 32 };
const PICKS: usize = 4;

fn options() -> ContextsOptions {
    ContextsOptions {
        context_window: 16,
        horizon: 128.0,
        drift: 0.1,
        patience: 2,
        contexts: 3,
        belief: 0.5,
        family_tokens: 16.0,
    }
}

/// A small generator: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// Tokens of a domain: picks among its own eight experts. Gives every turn that was not `Same`.
fn read(contexts: &mut Contexts, dice: &mut Dice, domain: usize, tokens: usize) -> Vec<Turn> {
    let mut turns = Vec::new();
    for _ in 0..tokens {
        contexts.enter_pass(TEXT, 1);
        for layer in 0..SHAPE.layers {
            let mut native = Vec::new();
            while native.len() < PICKS {
                let expert = ExpertId((domain * 8 + dice.below(8)) as u16);
                if native.iter().all(|choice: &Choice| choice.expert != expert) {
                    native.push(Choice { expert, weight: 0.25 });
                }
            }
            contexts.observe(TEXT, LayerId(layer as u16), 0, &native);
        }
        turns.extend(Some(contexts.advance(TEXT, 1)).filter(|turn| *turn != Turn::Same));
    }
    turns
}

#[test]
fn a_domain_is_found_left_and_known_again() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(1));
    assert_eq!(read(&mut contexts, &mut dice, 0, 160), [Turn::Founded(ContextId(0))]);
    assert_eq!(read(&mut contexts, &mut dice, 1, 160), [Turn::Founded(ContextId(1))]);
    // Two windows of patience: 32 tokens.
    assert_eq!(read(&mut contexts, &mut dice, 0, 31), []);
    assert_eq!(read(&mut contexts, &mut dice, 0, 1), [Turn::Known(ContextId(0))]);
    // A new text has no patience.
    contexts.begin(TEXT);
    assert_eq!(read(&mut contexts, &mut dice, 1, 16), [Turn::Known(ContextId(1))]);
}

#[test]
fn the_least_used_context_gives_its_place_at_the_limit() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(2));
    for (domain, tokens) in [(0, 320), (1, 160), (2, 240)] {
        read(&mut contexts, &mut dice, domain, tokens);
    }
    assert_eq!(contexts.known().len(), 3);
    assert_eq!(read(&mut contexts, &mut dice, 3, 160), [Turn::Founded(ContextId(1))]);
    assert_eq!(contexts.known().len(), 3);
}

#[test]
fn the_hot_set_is_the_domain() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(3));
    read(&mut contexts, &mut dice, 2, 160);
    let mut hot = Vec::new();
    contexts.hot_set(ContextId(0), &mut hot);
    assert_eq!(hot.len(), SHAPE.all());
    assert!(hot.is_sorted_by(|a, b| a.1 >= b.1));
    let mut first: Vec<ExpertKey> = hot[..24].iter().map(|(key, _)| *key).collect();
    first.sort_unstable();
    let own = (0..3).flat_map(|l| (16..24).map(move |e| ExpertKey::new(LayerId(l), ExpertId(e))));
    assert_eq!(first, own.collect::<Vec<_>>());
    assert!(hot[23].1 > 0.0 && hot[24].1 == 0.0);
}

/// One window of a new context says little of any one expert, and something of its family.
#[test]
fn a_family_counts_for_its_members_where_a_context_is_young() {
    let mut contexts = Contexts::new(SHAPE, options());
    // Experts 4n to 4n + 3 are a family.
    let labels: Vec<u16> = (0..SHAPE.experts as u16).map(|expert| expert / 4).collect();
    contexts.set_families(&vec![Families::group(&labels); SHAPE.layers]);
    let mut hot = Vec::new();
    let mut uses = |contexts: &mut Contexts, tokens: usize| {
        for _ in 0..tokens {
            contexts.enter_pass(TEXT, 1);
            let native = [Choice { expert: ExpertId(9), weight: 1.0 }];
            (0..SHAPE.layers).for_each(|layer| contexts.observe(TEXT, LayerId(layer as u16), 0, &native));
            contexts.advance(TEXT, 1);
        }
        contexts.hot_set(ContextId(0), &mut hot);
        let of = |expert| hot.iter().find(|(key, _)| *key == ExpertKey::new(LayerId(1), ExpertId(expert)));
        [9, 8, 12].map(|expert| of(expert).unwrap().1)
    };
    // 16 tokens and a family's 16: half of what is expected of expert 9 is shared with its family.
    let [own, sibling, stranger] = uses(&mut contexts, 16);
    assert_eq!((own, sibling, stranger), (5.0, 1.0, 0.0), "belief is one half");
    let [own, sibling, stranger] = uses(&mut contexts, 112);
    assert!(sibling < own / 20.0 && stranger == 0.0, "{own}, {sibling}, {stranger}");
}

#[test]
fn contributions_count_for_the_present_context() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(4));
    let used = [Contribution { expert: ExpertId(3), weight: 0.5, share: 1.0 }];
    contexts.contribute(TEXT, LayerId(1), &used);
    read(&mut contexts, &mut dice, 0, 16);
    (0..100).for_each(|_| contexts.contribute(TEXT, LayerId(1), &used));
    let record = contexts.records(ContextId(0))[32 + 3];
    assert_eq!((record.mean, record.variance, record.seen), (2.0, 0.0, 32.0));
}

#[test]
fn restoring_keeps_the_present_and_the_most_used() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(5));
    for (domain, tokens) in [(0, 320), (1, 240), (2, 160)] {
        read(&mut contexts, &mut dice, domain, tokens);
    }
    let records: Vec<_> = (0..3).flat_map(|c| contexts.records(ContextId(c)).to_vec()).collect();
    let options = ContextsOptions { contexts: 2, ..options() };
    let (tokens, present) = (contexts.tokens(), contexts.present());
    let fewer = Contexts::restore(SHAPE, options, tokens, present, contexts.known(), &records);
    assert_eq!(fewer.present(), Some(ContextId(1)));
    assert_eq!(fewer.records(ContextId(0)), contexts.records(ContextId(0)));
    assert_eq!(fewer.records(ContextId(1)), contexts.records(ContextId(2)));
}

/// A prompt is computed together: it is told apart by its last window and learnt whole.
#[test]
fn a_wide_pass_is_judged_by_its_end_and_learnt_whole() {
    let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(6));
    read(&mut contexts, &mut dice, 0, 160);
    let before = contexts.records(ContextId(0)).iter().map(|record| record.uses).sum::<f32>();
    let pick = |contexts: &mut Contexts, token, expert| {
        let native = [Choice { expert: ExpertId(expert), weight: 1.0 }];
        (0..SHAPE.layers).for_each(|layer| contexts.observe(TEXT, LayerId(layer as u16), token, &native));
    };
    contexts.begin(TEXT);
    contexts.enter_pass(TEXT, 100);
    // The first 84 tokens are of another domain, the last 16 of this one.
    (0..100).for_each(|token| pick(&mut contexts, token, if token < 84 { 20 } else { token as u16 % 8 }));
    assert_eq!(contexts.advance(TEXT, 100), Turn::Known(ContextId(0)));
    let after = contexts.records(ContextId(0)).iter().map(|record| record.uses).sum::<f32>();
    let faded = before * (-100.0f32 / 128.0).exp2();
    assert!((after - faded - 300.0).abs() < 0.1, "{before}, {after}");
    assert_eq!(contexts.tokens(), 260);
}

proptest! {
    /// Whatever the text: never more contexts than allowed, no number that is not one, the same twice.
    #[test]
    fn stays_within_its_bounds(
        seed in any::<u64>(),
        parts in proptest::collection::vec((0usize..4, 1usize..80), 1..12),
    ) {
        let run = || {
            let (mut contexts, mut dice) = (Contexts::new(SHAPE, options()), Dice(seed));
            let turns: Vec<_> =
                parts.iter().flat_map(|&(domain, n)| read(&mut contexts, &mut dice, domain, n)).collect();
            (contexts, turns)
        };
        let (contexts, turns) = run();
        prop_assert_eq!(turns, run().1);
        prop_assert!(contexts.known().len() <= 3);
        for c in 0..contexts.known().len() {
            let records = contexts.records(ContextId(c as u16));
            prop_assert!(records.iter().all(|r| r.mass.is_finite() && r.mass >= 0.0 && r.uses >= 0.0));
            prop_assert!((0.0..=1.0).contains(&contexts.known()[c].usual));
        }
    }
}
