//! Synthetic models: the same weights whoever writes them, and the planted text comes out of them.

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::*;
use hotset_convert::synth::{PlantedText, RoutingLog, SynthFormat, preset, seed_of, synth};
use hotset_format::{Checkpoint, ModelConfig};
use hotset_outputs::FileKind;

/// The scores of 128 experts in few and narrow layers.
fn narrow() -> ModelConfig {
    let tiny = preset("tiny").unwrap();
    ModelConfig { experts: 128, top_k: 8, expert_width: 32, heads: 2, ..tiny }
}

fn write(config: &ModelConfig, seed: u64, path: &Path) -> Checkpoint {
    let (format, kind) = match path.extension() {
        Some(extension) if extension == "hotset" => (SynthFormat::Store, FileKind::Store),
        _ => (SynthFormat::Gguf, FileKind::Gguf),
    };
    synth(config, seed, hotset_testkit::claim(kind, path), format, &|_| {}).unwrap();
    hotset_format::open(path).unwrap()
}

#[test]
fn a_gguf_file_and_a_store_of_one_seed_give_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let config = preset("tiny").unwrap();
    let tokens = PlantedText::new(config.vocab, 5).tokens(0..24);
    let of = |name: &str, seed| {
        let model = write(&config, seed, &dir.path().join(name));
        assert_eq!(seed_of(&model.config), Some(seed));
        bits(&logits(&mut engine(&model, Arena::Half, 2).unwrap(), &tokens, 8))
    };
    let reference = of("a.gguf", 5);
    assert!(of("a.hotset", 5) == reference);
    assert!(of("b.gguf", 6) != reference);
    let store = hotset_format::open(&dir.path().join("a.hotset")).unwrap();
    hotset_format::store::verify(&store, &mut |_| {}).unwrap();
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let config = preset("tiny").unwrap();
    for name in ["model.gguf", "model.hotset"] {
        let with = |threads: usize| {
            let path = dir.path().join(name);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| write(&config, 9, &path));
            fs::read(path).unwrap()
        };
        assert!(with(1) == with(3), "{name}");
    }
}

#[test]
fn the_likeliest_token_is_the_planted_one_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let model = write(&narrow(), 2, &dir.path().join("model.gguf"));
    let text = PlantedText::new(model.config.vocab, 2);
    let mut tokens = text.tokens(100..196);
    // A byte, and a control token: prompts may end with anything.
    tokens.extend([65, 2000]);
    let rows = logits(&mut engine(&model, Arena::All, 2).unwrap(), &tokens, 64);
    for (row, &token) in rows.iter().zip(&tokens) {
        let planted = text.successor(token) as usize;
        let next = row.iter().enumerate().filter(|(id, _)| *id != planted).map(|(_, &logit)| logit);
        let lead = row[planted] - next.fold(f32::MIN, f32::max);
        assert!(lead > 3.0, "token {token}: {lead}");
    }
}

#[test]
fn routing_is_as_planted() {
    let dir = tempfile::tempdir().unwrap();
    let config = ModelConfig { layers: 8, hidden: 512, vocab: 4096, ..narrow() };
    let model = write(&config, 1, &dir.path().join("model.gguf"));
    let mut engine = engine(&model, Arena::All, 2).unwrap();
    let log = Arc::new(Mutex::new(RoutingLog::new(config.layers, config.experts, config.top_k)));
    let recorded = Arc::clone(&log);
    engine.probe_routers(Box::new(move |layer, scores, next| {
        recorded.lock().unwrap().record(layer, scores, next);
    }));
    let text = PlantedText::new(config.vocab, 1).tokens(0..256);
    logits(&mut engine, &text, 128);
    let log = log.lock().unwrap();
    assert_eq!(log.tokens(), 256);
    for figure in log.figures() {
        // Eight layers are a small sample of layers: twice the tolerance of the full size.
        let difference = figure.measured - figure.target.unwrap();
        assert!(difference.abs() < 10.0, "{figure:?}");
    }
}
