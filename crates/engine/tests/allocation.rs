//! Invariant 5: after the engine has opened and warmed up, decoding allocates nothing, on any thread.
//!
//! Runs without the test harness, whose own threads allocate when they please.

mod common;

use std::alloc::System;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::*;
use hotset_base::{RowKind, WeightType};
use hotset_engine::{EngineOptions, LedgerSettings, Listener, Turn};
use hotset_model::Predictor;
use hotset_outputs::FileKind;
use hotset_policy::contexts::ContextsOptions;
use hotset_policy::route::{CachePriorOptions, DropOptions, RouterOptions, StrictOptions, TrustOptions};
use hotset_testkit::{TinyModel, TinyShape, claim, claim_repeated};
use hotset_text::{LogitBias, Sampler, SamplerConfig, StopStrings};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations so far, at every piece of text.
struct Counts(Vec<usize>);

impl Listener for Counts {
    fn text(&mut self, _piece: &str) {
        self.0.push(ALLOCATOR.stats().allocations);
    }
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let shape = TinyShape { experts: 16, top_k: 4, ..TinyShape::default() };
    TinyModel::random(shape, 11).write_hf(dir.path(), WeightType::BF16, 2).unwrap();
    decode(dir.path(), None);
    decode(dir.path(), Some(&dir.path().join("a.trace")));
    // With a ledger: one that is begun, then one that is known, both saved while decoding.
    let target = claim_repeated(FileKind::TrustLedger, &dir.path().join("a.ledger"));
    let ledger = LedgerSettings { save_every: 16, ..LedgerSettings::new(target) };
    let learns = ContextsOptions { context_window: 8, drift: 0.0, patience: 1, ..ledger.options };
    let ledger = LedgerSettings { options: learns, ..ledger };
    for router in [RouterOptions::Native, RouterOptions::Native, RouterOptions::Trust(trust())] {
        decode_with(dir.path(), None, router, Some(ledger.clone()));
    }
    together(dir.path(), &dir.path().join("b.trace"));
    // Quantised weights: vectors are put into int8.
    let path = dir.path().join("quantised.gguf");
    let shape = TinyShape { experts: 16, top_k: 4, ..TinyShape::k_quant() };
    TinyModel::random(shape, 12).write_gguf(&path, &|_| WeightType::Q4_K, 1).unwrap();
    decode(&path, None);
}

fn decode(path: &Path, trace: Option<&Path>) {
    let strict = StrictOptions { hot_set: 6, refresh_tokens: 8, half_life: 32.0, family_share: 0.0 };
    let routers = [
        RouterOptions::Native,
        RouterOptions::CachePrior(CachePriorOptions::default()),
        RouterOptions::Drop(DropOptions::default()),
        RouterOptions::Trust(trust()),
        RouterOptions::Strict(strict),
    ];
    routers.into_iter().for_each(|router| decode_with(path, trace, router, None));
}

/// Three sessions, a token of each in a pass, beside a prompt; traced, and learning.
fn together(path: &Path, trace: &Path) {
    let model = hotset_format::open(path).unwrap();
    let ledger = LedgerSettings::new(claim_repeated(FileKind::TrustLedger, &path.join("b.ledger")));
    let options = EngineOptions {
        threads: Some(2),
        sessions: 3,
        router: RouterOptions::Trust(trust()),
        ledger: Some(ledger),
        predictor: Some(Predictor::Learn),
        ..EngineOptions::default()
    };
    let mut engine = engine_with(&model, Arena::Tenth, options).unwrap();
    engine.trace_to(claim(FileKind::Trace, trace)).unwrap();
    let mut sessions = [(); 3].map(|()| engine.session().unwrap());
    let mut counts = Vec::with_capacity(256);
    for i in 0..100u32 {
        let next = [1 + i % 7, 20 + i % 11, 40 + i % 5];
        let [a, b, c] = &mut sessions;
        let mut turns = [Turn::decode(a, &next[0]), Turn::decode(b, &next[1]), Turn::decode(c, &next[2])];
        if i % 10 == 9 {
            turns[2].kind = RowKind::Prompt;
        }
        engine.step(&mut turns).unwrap();
        assert_eq!(engine.logits(0..3).len(), 3 * model.config.vocab);
        counts.push(ALLOCATOR.stats().allocations);
    }
    let warm = &counts[20..];
    assert_eq!(warm.first(), warm.last(), "allocations while three sessions decode: {warm:?}");
    assert!(engine.end_trace().unwrap().is_some() && engine.totals().pager.swap_ins > 100);
    println!("{} passes of three sessions allocated nothing", warm.len());
}

fn trust() -> TrustOptions {
    TrustOptions { tolerance: 0.05, trust: 0.5, admission: 0.5, ..TrustOptions::default() }
}

fn decode_with(path: &Path, trace: Option<&Path>, router: RouterOptions, ledger: Option<LedgerSettings>) {
    let model = hotset_format::open(path).unwrap();
    // A small arena: the path with evictions and reads is the one that must not allocate.
    let learns = ledger.is_some();
    let predictor = Some(Predictor::Learn);
    let options = EngineOptions { threads: Some(2), router, ledger, predictor, ..EngineOptions::default() };
    let mut engine = engine_with(&model, Arena::Tenth, options).unwrap();
    if let Some(trace) = trace {
        engine.trace_to(claim(FileKind::Trace, trace)).unwrap();
    }
    let mut session = engine.session().unwrap();
    // Everything that looks at logits and text between two tokens.
    let sampling = SamplerConfig {
        seed: 3,
        repeat_penalty: 1.1,
        presence_penalty: 0.1,
        frequency_penalty: 0.1,
        ..SamplerConfig::default()
    };
    let mut sampler = Sampler::new(sampling, model.config.vocab).unwrap();
    sampler = sampler.with_biases(&[LogitBias { token: 9, bias: 1.5 }]).unwrap();
    let stops = ["nowhere".to_owned(), "to be found".to_owned()];
    let mut stops = StopStrings::new(&stops, engine.tokenizer()).unwrap();
    let mut counts = Counts(Vec::with_capacity(256));
    let generation = engine
        .generate_until(
            &mut session,
            &[1, 2, 3],
            &mut sampler,
            (Some(150), &mut stops),
            &AtomicBool::new(false),
            &mut counts,
        )
        .unwrap();
    let counts = counts.0;
    assert!(generation.figures.decode.pager.swap_ins > 20, "the arena was meant to be too small");
    assert!(counts.len() > 30, "{} pieces of text", counts.len());
    let warm = &counts[10..counts.len() - 1];
    assert_eq!(warm.first(), warm.last(), "allocations while decoding: {warm:?}");
    let traced = engine.end_trace().unwrap().map_or(0, |totals| totals.bytes.0);
    assert_eq!(traced > 0, trace.is_some());
    let learnt = engine.save_ledger().unwrap();
    assert_eq!(learnt.is_some_and(|totals| totals.tokens > 64), learns);
    let (pieces, router) = (warm.len(), router.name());
    println!("decoding {pieces} pieces with {router} allocated nothing; {traced} bytes of trace");
}
