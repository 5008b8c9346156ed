//! The sampler's behaviour from outside: determinism, filters, penalties, refusals.

use hotset_text::{Sampler, SamplerConfig, SamplerError};
use proptest::prelude::*;

const NEVER: f32 = f32::NEG_INFINITY;

fn plain() -> SamplerConfig {
    SamplerConfig { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..SamplerConfig::default() }
}

fn drawn(config: SamplerConfig, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(config, logits.len()).unwrap();
    (0..count).map(|_| sampler.sample(logits).unwrap()).collect()
}

#[test]
fn greedy_takes_the_first_of_the_largest() {
    let greedy = SamplerConfig { temperature: 0.0, ..plain() };
    assert_eq!(drawn(greedy, &[1.0, 3.0, 3.0, 2.0], 2), [1, 1]);
    assert_eq!(drawn(greedy, &[NEVER, -0.0, 0.0], 1), [1]);
    assert_eq!(drawn(greedy, &[NEVER, NEVER, -3.0e38], 1), [2]);
}

#[test]
fn the_seed_decides() {
    let logits: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
    let config = SamplerConfig { seed: 7, ..SamplerConfig::default() };
    let first = drawn(config, &logits, 50);
    assert_eq!(drawn(config, &logits, 50), first);
    assert_ne!(drawn(SamplerConfig { seed: 8, ..config }, &logits, 50), first);
    let mut sampler = Sampler::new(SamplerConfig { seed: 9, ..config }, logits.len()).unwrap();
    sampler.sample(&logits).unwrap();
    sampler.reset(7);
    let again: Vec<_> = (0..50).map(|_| sampler.sample(&logits).unwrap()).collect();
    assert_eq!(again, first);
}

#[test]
fn frequencies_are_the_probabilities() {
    let probabilities = [0.1f32, 0.2, 0.7];
    let mut counts = [0; 3];
    for id in drawn(plain(), &probabilities.map(f32::ln), 20_000) {
        counts[id as usize] += 1;
    }
    for (count, probability) in counts.iter().zip(probabilities) {
        assert!((*count as f32 / 20_000.0 - probability).abs() < 0.015, "{counts:?}");
    }
    let cold = SamplerConfig { temperature: 0.1, ..plain() };
    assert!(drawn(cold, &probabilities.map(f32::ln), 100).iter().all(|&id| id == 2));
}

#[test]
fn a_repeated_token_is_penalised_once_and_forgotten_in_time() {
    let config =
        SamplerConfig { temperature: 0.0, repeat_penalty: 2.0, repeat_last_n: 2, ..SamplerConfig::default() };
    let mut sampler = Sampler::new(config, 4).unwrap();
    let logits = [4.0, 2.5, -1.0, -1.5];
    for token in [0, 0, 9_999] {
        sampler.accept(token); // an id outside the vocabulary does no harm
    }
    assert_eq!(sampler.sample(&logits).unwrap(), 1); // 4 / 2 < 2.5
    assert_eq!(sampler.sample(&[4.0, 1.5, 0.0, 0.0]).unwrap(), 0); // 4 / 2, not 4 / 4
    sampler.accept(1);
    assert_eq!(sampler.sample(&logits).unwrap(), 0); // 0 left the window
    sampler.reset(0);
    sampler.accept(2);
    assert_eq!(sampler.sample(&[NEVER, NEVER, -1.0, -1.5]).unwrap(), 3); // -1 * 2 < -1.5
    sampler.accept(0);
    assert_eq!(sampler.sample(&[NEVER, NEVER, NEVER, -1.5]).unwrap(), 3);
}

#[test]
fn damaged_logits_are_an_error() {
    let mut sampler = Sampler::new(SamplerConfig::default(), 3).unwrap();
    let mut refused = |logits: &[f32]| sampler.sample(logits).unwrap_err();
    assert!(matches!(refused(&[1.0, f32::NAN, 0.0]), SamplerError::NotFinite { id: 1, .. }));
    assert!(matches!(refused(&[1.0, 0.0, f32::INFINITY]), SamplerError::NotFinite { id: 2, .. }));
    assert_eq!(refused(&[NEVER; 3]), SamplerError::NothingPossible);
    assert_eq!(refused(&[1.0; 4]), SamplerError::Length { found: 4, vocab: 3 });
    assert_eq!(refused(&[]), SamplerError::Length { found: 0, vocab: 3 });
}

#[test]
fn senseless_knobs_are_refused_by_name() {
    let refused = |config: SamplerConfig| config.validate().unwrap_err().to_string();
    for bad in [f32::NAN, -0.1, 1e30, f32::INFINITY] {
        assert!(refused(SamplerConfig { temperature: bad, ..plain() }).starts_with("temperature is "));
        assert!(refused(SamplerConfig { top_p: bad, ..plain() }).starts_with("top-p is "));
        assert!(refused(SamplerConfig { min_p: bad, ..plain() }).starts_with("min-p is "));
        assert!(refused(SamplerConfig { repeat_penalty: bad, ..plain() }).starts_with("repeat-penalty is "));
    }
    assert!(refused(SamplerConfig { repeat_penalty: 0.0, ..plain() }).starts_with("repeat-penalty is "));
    assert!(refused(SamplerConfig { top_k: usize::MAX, ..plain() }).starts_with("top-k is "));
    assert!(refused(SamplerConfig { repeat_last_n: usize::MAX, ..plain() }).starts_with("repeat-last-n is "));
    assert!(matches!(Sampler::new(plain(), 0), Err(SamplerError::Vocab { .. })));
    assert!(SamplerConfig::default().validate().is_ok());
}

proptest! {
    #[test]
    fn every_setting_gives_a_possible_token(
        logits in prop::collection::vec(prop_oneof![4 => -1e3f32..1e3, 1 => Just(NEVER), 1 => Just(f32::MAX), 1 => Just(f32::MIN)], 1..600),
        temperature in prop_oneof![Just(0.0f32), Just(1e-38), 0.01f32..100.0],
        (top_k, top_p, min_p) in (0usize..700, 0.0f32..=1.0, 0.0f32..=1.0),
        (repeat_penalty, recent) in (f32::MIN_POSITIVE..100.0, prop::collection::vec(0u32..700, 0..20)),
        seed in any::<u64>(),
    ) {
        let config = SamplerConfig { temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n: 8, seed };
        let mut sampler = Sampler::new(config, logits.len()).unwrap();
        recent.into_iter().for_each(|token| sampler.accept(token));
        match sampler.sample(&logits) {
            Ok(id) => prop_assert!(logits[id as usize] > NEVER),
            Err(error) => {
                prop_assert_eq!(error, SamplerError::NothingPossible);
                prop_assert!(logits.iter().all(|&logit| logit == NEVER));
            }
        }
    }
}
