//! The sampler's behaviour from outside: determinism, filters, penalties, refusals.

use hotset_base::limits::MAX_LOGIT_BIASES;
use hotset_text::{LogitBias, Sampler, SamplerConfig, SamplerError};
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

/// llama.cpp's formula: over or times the repetition penalty, less count * frequency + presence.
#[test]
fn penalties_are_llama_cpps() {
    let penalty = |repeat_penalty, presence_penalty, frequency_penalty| SamplerConfig {
        temperature: 0.0,
        repeat_penalty,
        presence_penalty,
        frequency_penalty,
        repeat_last_n: 4,
        ..SamplerConfig::default()
    };
    // Token 0 with a logit of 4 against token 1 with one just above and just below what is left of it.
    let left = |config: SamplerConfig, occurrences: usize, expected: f32| {
        let mut sampler = Sampler::new(config, 3).unwrap();
        (0..occurrences).for_each(|_| sampler.accept(0));
        assert_eq!(sampler.sample(&[4.0, expected + 0.01, -9.0]).unwrap(), 1, "{config:?}");
        assert_eq!(sampler.sample(&[4.0, expected - 0.01, -9.0]).unwrap(), 0, "{config:?}");
        // Out of the window, it is as if it had not been.
        (0..4).for_each(|_| sampler.accept(2));
        assert_eq!(sampler.sample(&[4.0, 3.99, -9.0]).unwrap(), 0, "{config:?}");
    };
    left(penalty(1.0, 0.5, 0.0), 3, 3.5);
    left(penalty(1.0, 0.0, 0.5), 3, 2.5);
    left(penalty(1.0, 0.25, 0.5), 2, 2.75);
    left(penalty(2.0, 0.25, 0.5), 2, 0.75);
    left(penalty(1.0, 0.0, 0.5), 9, 2.0); // four of them count
    left(penalty(1.0, -1.0, 0.0), 1, 5.0);
}

#[test]
fn biases_shift_logits() {
    let bias = |text: &str| text.parse::<LogitBias>().unwrap();
    let of = |biases: &[&str], config: SamplerConfig| {
        let biases: Vec<_> = biases.iter().map(|text| bias(text)).collect();
        Sampler::new(config, 3).unwrap().with_biases(&biases)
    };
    let greedy = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
    let chosen = |biases: &[&str]| of(biases, greedy).unwrap().sample(&[3.0, 2.0, NEVER]);
    assert_eq!(chosen(&[]), Ok(0));
    assert_eq!(chosen(&["1+1.5"]), Ok(1));
    assert_eq!(chosen(&["0-0.5"]), Ok(0));
    assert_eq!(chosen(&["0-0.5", "0-0.75"]), Ok(1));
    assert_eq!(chosen(&["0-inf"]), Ok(1));
    assert_eq!(chosen(&["1+inf", "0+1e30"]), Ok(1));
    assert_eq!(chosen(&["2+inf"]), Ok(0)); // what the model forbids stays so
    assert_eq!(chosen(&["0-inf", "1-inf"]), Err(SamplerError::NothingPossible));
    // Biases come before penalties, and do not add up over tokens.
    let mut sampler = of(&["0+5"], SamplerConfig { repeat_penalty: 2.0, ..greedy }).unwrap();
    for _ in 0..3 {
        sampler.accept(0);
        assert_eq!(sampler.sample(&[3.0, 3.9, 0.0]).unwrap(), 0); // (3 + 5) / 2
        assert_eq!(sampler.sample(&[3.0, 4.1, 0.0]).unwrap(), 1);
    }
    assert!(matches!(of(&["3+1"], greedy), Err(SamplerError::BiasOutside { token: 3, vocab: 3 })));
    let many = vec![bias("0+1"); MAX_LOGIT_BIASES + 1];
    assert!(Sampler::new(greedy, 3).unwrap().with_biases(&many[1..]).is_ok());
    assert!(matches!(
        Sampler::new(greedy, 3).unwrap().with_biases(&many),
        Err(SamplerError::TooManyBiases { .. })
    ));
    for wrong in ["", "5", "+1", "5*1", "-5+1", "5+nan", "5+", "x+1", "99999999999+1"] {
        assert!(wrong.parse::<LogitBias>().is_err(), "{wrong}");
    }
    assert_eq!(bias("15043-1.5").to_string(), "15043-1.5");
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
    for bad in [f32::NAN, -100.1, 1e30, f32::INFINITY] {
        let (presence, frequency) = ("presence-penalty is ", "frequency-penalty is ");
        assert!(refused(SamplerConfig { presence_penalty: bad, ..plain() }).starts_with(presence));
        assert!(refused(SamplerConfig { frequency_penalty: bad, ..plain() }).starts_with(frequency));
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
        (presence_penalty, frequency_penalty) in (-100.0f32..=100.0, -100.0f32..=100.0),
        biases in prop::collection::vec((0u32..700, prop_oneof![Just(NEVER), Just(f32::INFINITY), -1e3f32..1e3]).prop_map(|(token, bias)| LogitBias { token, bias }), 0..10),
        seed in any::<u64>(),
    ) {
        let config = SamplerConfig {
            temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty, repeat_last_n: 8, seed,
        };
        let biases: Vec<LogitBias> = biases.into_iter().filter(|bias| (bias.token as usize) < logits.len()).collect();
        let forbids = biases.iter().any(|bias| bias.bias == NEVER);
        let mut sampler = Sampler::new(config, logits.len()).unwrap().with_biases(&biases).unwrap();
        recent.into_iter().for_each(|token| sampler.accept(token));
        match sampler.sample(&logits) {
            Ok(id) => prop_assert!(logits[id as usize] > NEVER),
            Err(error) => {
                prop_assert_eq!(error, SamplerError::NothingPossible);
                prop_assert!(forbids || logits.iter().all(|&logit| logit == NEVER));
            }
        }
    }
}
