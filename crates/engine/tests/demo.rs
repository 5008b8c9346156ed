//! The model that ships, against what another implementation computed from its unquantised weights.
//!
//! `HOTSET_REFERENCE_MODEL=DIR cargo test --release -p hotset-engine --test demo -- --nocapture` runs the
//! strict comparison on the unquantised checkpoint itself (164 MiB, not in the repository).

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::*;
use hotset_base::{Bytes, LayerId, RowKind};
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::{Engine, EngineOptions, Turn, WantLogits, Windowing, perplexity};
use hotset_format::Checkpoint;
use hotset_outputs::FileKind;
use hotset_policy::route::{Decision, Native, NotFinite, Route, RowView};
use hotset_text::Tokenizer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    prompts: BTreeMap<String, Prompt>,
    trace: Trace,
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    top5_ids: Vec<usize>,
    top5_logits: Vec<f32>,
    greedy_ids: Vec<u32>,
    greedy_margins: Vec<f32>,
}

#[derive(Deserialize)]
struct Trace {
    ids: Vec<u32>,
    /// `[position][layer][rank]`
    expert_ids: Vec<Vec<Vec<u16>>>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn shipped() -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.hotset");
    hotset_format::open(&path).unwrap()
}

fn reference() -> Reference {
    serde_json::from_slice(&std::fs::read(data("reference.json")).unwrap()).unwrap()
}

/// Tokens equal to the reference's, and whether the first other one is a near tie.
fn greedy(engine: &mut Engine, prompt: &Prompt, tie: f32) -> (usize, bool) {
    let mut session = engine.session().unwrap();
    let prefill = turn(&mut session, &prompt.ids, RowKind::Prompt);
    engine.step(&mut [Turn { logits: WantLogits::Last, ..prefill }]).unwrap();
    for (i, &expected) in prompt.greedy_ids.iter().enumerate() {
        let logits = engine.logits(0..1);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32;
        if best != expected {
            return (i, prompt.greedy_margins[i] < tie);
        }
        engine.step(&mut [Turn::decode(&mut session, &best)]).unwrap();
    }
    (prompt.greedy_ids.len(), true)
}

/// Largest difference of the listed logits after a prompt.
fn logit_error(engine: &mut Engine, prompt: &Prompt) -> f32 {
    let last = logits(engine, &prompt.ids, 64).pop().unwrap();
    let pairs = prompt.top5_ids.iter().zip(&prompt.top5_logits);
    pairs.map(|(&id, expected)| (last[id] - expected).abs()).fold(0.0, f32::max)
}

type Picks = Arc<Mutex<Vec<(LayerId, Vec<u16>)>>>;

/// The native router, with a copy of what it chose.
struct Recording(Native, Picks);

impl Route for Recording {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.0.route(token, out)?;
        let picks = out.chosen.iter().map(|choice| choice.expert.0).collect();
        self.1.lock().unwrap().push((token.layer, picks));
        Ok(())
    }

    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.0.foresee(token, out)
    }

    fn is_lossy(&self) -> bool {
        self.0.is_lossy()
    }
}

/// Share of picks whose expert is among the reference's eight.
fn route_agreement(model: &Checkpoint, trace: &Trace) -> f64 {
    let picks = Picks::default();
    let options = EngineOptions { memory: Some(Bytes::mib(1024)), ..EngineOptions::default() };
    let shape = router_shape(&model.config, 1.0);
    let router = Box::new(Recording(Native::new(shape), Arc::clone(&picks)));
    let prepared = Engine::prepare(model, options).unwrap();
    let mut engine = prepared.open_with_router(router, &mut |_| {}).unwrap();
    logits(&mut engine, &trace.ids, 61);
    let picks = picks.lock().unwrap();
    let (mut same, mut all) = (0, 0);
    for layer in 0..model.config.layers {
        let of_layer = picks.iter().filter(|(l, _)| l.index() == layer);
        for ((_, chosen), expected) in of_layer.zip(&trace.expert_ids) {
            all += chosen.len();
            same += chosen.iter().filter(|expert| expected[layer].contains(expert)).count();
        }
    }
    same as f64 / all as f64
}

/// Geometric mean over the eight texts of the perplexity.
fn mean_perplexity(model: &Checkpoint) -> f64 {
    let mut engine = engine(model, Arena::All, 2).unwrap();
    let (mut sum, mut texts) = (0.0, 0);
    for entry in std::fs::read_dir(data("eval")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let tokens = engine.tokenizer().encode(&text, true).unwrap();
        let mut session = engine.session().unwrap();
        let score =
            perplexity(&mut engine, &mut session, &tokens, 512, Windowing::Whole, &mut |_| {}).unwrap();
        sum += score.perplexity().ln();
        texts += 1;
    }
    (sum / f64::from(texts)).exp()
}

fn repacked(model: &Checkpoint, dir: &Path, recipe: &str) -> Checkpoint {
    let target = dir.join(format!("{recipe}.hotset"));
    let recipe: Recipe = recipe.parse().unwrap();
    let options = PackOptions { recipe, overrides: Vec::new(), suggested_memory: None };
    pack(model, hotset_testkit::claim(FileKind::Store, &target), &options, &|_| {}).unwrap();
    hotset_format::open(&target).unwrap()
}

#[test]
fn the_vocabulary_encodes_as_the_reference_does() {
    let tokenizer = Tokenizer::new(&shipped().tokenizer).unwrap();
    for (name, prompt) in reference().prompts {
        assert_eq!(tokenizer.encode(&prompt.text, true).unwrap(), prompt.ids, "{name}");
    }
}

#[test]
fn the_shipped_weights_stay_near_the_unquantised_ones() {
    let (model, reference) = (shipped(), reference());
    let mut engine = engine(&model, Arena::Half, 2).unwrap();
    let (mut equal, mut worst) = (0, 0.0f32);
    for prompt in reference.prompts.values() {
        worst = worst.max(logit_error(&mut engine, prompt));
        equal += greedy(&mut engine, prompt, 1.0).0;
    }
    let agreement = route_agreement(&model, &reference.trace);
    println!("{equal} of 576 greedy tokens equal, routes {agreement:.4} equal, logits within {worst}");
    assert!(worst < MAX_LOGIT_ERROR, "logits differ by {worst}");
    assert!(agreement > MIN_AGREEMENT, "route agreement {agreement}");
    assert!(equal > MIN_EQUAL, "{equal} greedy tokens");
}

#[test]
fn perplexity_of_the_shipped_model_and_of_every_recipe_does_not_get_worse() {
    let dir = tempfile::tempdir().unwrap();
    let model = shipped();
    let found = mean_perplexity(&model);
    println!("shipped: {found:.4}");
    assert!(found < SHIPPED_PERPLEXITY * 1.002, "{found}");
    for (recipe, expected) in RECIPE_PERPLEXITY {
        let found = mean_perplexity(&repacked(&model, dir.path(), recipe));
        println!("repacked as {recipe}: {found:.4}");
        assert!(found < expected * 1.002, "{recipe}: {found} is worse than {expected}");
    }
}

#[test]
fn the_unquantised_checkpoint_matches_the_reference() {
    let Some(path) = std::env::var_os("HOTSET_REFERENCE_MODEL") else { return };
    let model = hotset_format::open(Path::new(&path)).unwrap();
    let reference = reference();
    let mut engine = engine(&model, Arena::Half, 2).unwrap();
    let mut worst = 0.0f32;
    for (name, prompt) in &reference.prompts {
        worst = worst.max(logit_error(&mut engine, prompt));
        let (equal, tie) = greedy(&mut engine, prompt, 1e-4);
        println!("{name}: {equal} of 64 greedy tokens equal");
        assert!(tie, "{name}: differs at token {equal} with a margin of {}", prompt.greedy_margins[equal]);
    }
    let agreement = route_agreement(&model, &reference.trace);
    let found = mean_perplexity(&model);
    println!("largest logit error {worst:e}, route agreement {agreement}, perplexity {found:.4}");
    assert!(worst < 2e-2 && agreement >= 0.999);
}

/// Measured when the model was packed, rounded to the bad side.
const MAX_LOGIT_ERROR: f32 = 2.0;
const MIN_AGREEMENT: f64 = 0.945;
const MIN_EQUAL: usize = 100;
/// Of the unquantised weights: 11.0950.
const SHIPPED_PERPLEXITY: f64 = 11.2557;
const RECIPE_PERPLEXITY: [(&str, f64); 4] =
    [("q8_0", 11.2637), ("q6_k", 11.2553), ("q4_k", 11.5515), ("q4_0", 12.0219)];
