//! A replay of a run's trace, with the run's own eviction policy and arena, hits exactly as often as the run
//! did.

mod common;

use std::fs;
use std::path::Path;

use common::*;
use hotset_engine::{Engine, EngineOptions, Repetition, Windowing, Workload, perplexity};
use hotset_policy::evict::EvictKind;
use hotset_policy::route::{DropOptions, RouterOptions};
use hotset_replay::{Demand, Eviction, Part, ReplayPolicy, Scope, Setting, replay};
use hotset_residency::{ArenaPlan, ExpertSource, PagerOptions};
use hotset_trace::{Ending, TraceReader, TraceSource};

use hotset_base::figures::*;
use hotset_base::{Bytes, Phase, WeightType};
use hotset_format::Checkpoint;
use hotset_outputs::FileKind;
use hotset_testkit::{TinyModel, TinyShape};

const PROMPT: usize = 12;
const WARM: usize = 5;
const COUNTED: usize = 60;

fn shipped() -> Checkpoint {
    hotset_format::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.hotset")).unwrap()
}

/// A prompt and an answer, nothing prefetched, `chunk` prompt tokens at a time, on a traced engine.
fn run(model: &Checkpoint, evict: EvictKind, arena: ArenaPlan, chunk: usize, trace: &Path) -> Repetition {
    let options = EngineOptions {
        memory: Some(Bytes::mib(1024)),
        evict,
        chunk: Some(chunk),
        pager: PagerOptions { lookahead: 0, ..PagerOptions::default() },
        ..EngineOptions::default()
    };
    let prepared = Engine::prepare(model, options).unwrap();
    let mut engine = prepared.with_arena(arena).open(&mut |_| {}).unwrap();
    engine.trace_to(hotset_testkit::claim(FileKind::Trace, trace)).unwrap();
    let mut sessions = [engine.session().unwrap()];
    let workload = Workload { prompt: PROMPT, warmup: WARM, predict: COUNTED };
    let prompts = [prompt(model.config.vocab, PROMPT)];
    let done = engine.repeat(&mut sessions, &prompts, workload, &mut |_| ()).unwrap();
    assert!(engine.end_trace().unwrap().is_some());
    done
}

#[test]
fn a_replay_of_the_shipped_model_hits_as_often_as_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("t.trace");
    let model = shipped();
    let source = ExpertSource::new(&model);
    let layers = model.config.layers;
    let caches = [
        (EvictKind::Lru, Scope::PerLayer, 16),
        (EvictKind::Lfu { half_life: Some(256) }, Scope::PerLayer, 9),
        (EvictKind::Lfu { half_life: Some(256) }, Scope::Shared, 35),
        (EvictKind::Lfu { half_life: None }, Scope::Shared, 20),
        (EvictKind::WindowLfu { half_life: Some(128) }, Scope::PerLayer, 9),
        (EvictKind::WindowLfu { half_life: Some(128) }, Scope::Shared, 20),
        (EvictKind::Lfru, Scope::Shared, 20),
        (EvictKind::LeastStale, Scope::Shared, 12),
    ];
    for (evict, scope, experts_per_layer) in caches {
        let mut arena = ArenaPlan::per_layer(&source, experts_per_layer);
        if scope == Scope::Shared {
            arena = ArenaPlan::shared(&source, Bytes(0));
            assert_eq!(arena.partitions.len(), 1, "all its experts have one size");
            arena.partitions[0].slots = layers * experts_per_layer;
        }
        let done = run(&model, evict, arena, 1, &trace);
        let mut source = TraceSource::open(&trace).unwrap();
        let demand = Demand::load(&mut source, Part::All, false).unwrap();
        assert_eq!(demand.tokens(), PROMPT + WARM + COUNTED);
        let policy = ReplayPolicy { eviction: Eviction::Live(evict), scope };
        let setting = Setting { policy, experts_per_layer };
        let found = replay(&demand, setting, PROMPT + WARM, None).unwrap().totals;
        let of_run = done.decode;
        let counted = |totals: &Totals| {
            let (routing, pager) = (totals.routing, totals.pager);
            (routing.hot_picks, routing.routed_picks, pager.swap_ins, pager.bytes_read, pager.demanded)
        };
        assert_eq!(counted(&found), counted(&of_run), "{evict:?}, {scope:?}");
        for figure in [&HIT_RATE, &AGREEMENT, &REGRET_RATE, &SWAP_INS_PER_TOKEN, &READ_MIB_PER_TOKEN] {
            assert_eq!(found.get(figure), of_run.get(figure), "{}", figure.name);
        }
        assert!((found.routing.regret.waited.mass - of_run.routing.regret.waited.mass).abs() < 1e-3);
    }
}

#[test]
fn a_trace_says_what_the_run_did() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("t.trace");
    let model = shipped();
    let source = ExpertSource::new(&model);
    let done = run(&model, EvictKind::Lru, ArenaPlan::per_layer(&source, 20), 8, &trace);
    let mut reader = TraceReader::open(&trace).unwrap();
    let header = reader.header().clone();
    assert_eq!((header.layers, header.experts, header.top_k), (6, 128, 8));
    assert!(header.full_scores && header.native_choice && header.options["router"] == "native");
    let (mut passes, mut hot, mut chosen, mut demand) = (Vec::new(), 0, 0, 0);
    while let Some(pass) = reader.next_pass().unwrap() {
        for visit in &pass.visits {
            demand += u64::from(visit.reads.demand);
            assert_eq!((visit.reads.late, visit.reads.prefetch), (0, 0));
            for choice in visit.layer_tokens.iter().flat_map(|layer_token| &layer_token.chosen) {
                chosen += 1;
                hot += u64::from(visit.is_hot(choice.expert));
            }
            let sum: f32 = visit.layer_tokens[0].probabilities.iter().map(|p| p.to_f32()).sum();
            assert!((sum - 1.0).abs() < 0.01, "{sum}");
        }
        passes.push((pass.rows[0].phase, pass.rows[0].position, pass.rows.len()));
    }
    assert!(matches!(reader.ending(), Some(Ending::Whole { .. })));
    assert_eq!(passes[..3], [(Phase::Setup, 0, 8), (Phase::Setup, 8, 4), (Phase::Narration, 12, 1)]);
    assert_eq!(passes.len(), 2 + WARM + COUNTED);
    assert!(chosen as usize == 6 * 8 * (PROMPT + WARM + COUNTED));
    assert!(hot >= done.prefill.routing.hot_picks + done.decode.routing.hot_picks);
    assert!(demand >= done.prefill.pager.swap_ins + done.decode.pager.swap_ins);
}

/// Replay took the mean of the shares that layer-tokens lost, the engine the share of all mass: not the same
/// where the weights of a layer-token do not add up to 1.
#[test]
fn a_replay_loses_the_mass_that_its_run_lost() {
    let dir = tempfile::tempdir().unwrap();
    for normalise in [true, false] {
        let shape = TinyShape { layers: 3, experts: 20, top_k: 4, ..TinyShape::default() };
        let (trace, config) = (dir.path().join("t.trace"), dir.path().join("config.json"));
        TinyModel::random(shape, 9).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
        let text = fs::read_to_string(&config).unwrap();
        fs::write(
            &config,
            text.replace("\"norm_topk_prob\":true", &format!("\"norm_topk_prob\":{normalise}")),
        )
        .unwrap();
        let model = hotset_format::open(dir.path()).unwrap();
        assert_eq!(model.config.norm_topk, normalise);
        let router = RouterOptions::Drop(DropOptions { factor: 1.0 });
        let options = EngineOptions { router, threads: Some(1), ..EngineOptions::default() };
        let mut engine = engine_with(&model, Arena::Half, options).unwrap();
        engine.trace_to(hotset_testkit::claim(FileKind::Trace, &trace)).unwrap();
        let (mut session, text) = (engine.session().unwrap(), prompt(model.config.vocab, 60));
        let scored = perplexity(&mut engine, &mut session, &text, 60, Windowing::Whole, &mut |_| {}).unwrap();
        engine.end_trace().unwrap();
        let demand = Demand::load(&mut TraceSource::open(&trace).unwrap(), Part::Decoded, false).unwrap();
        let setting = Setting { policy: "lru".parse().unwrap(), experts_per_layer: 10 };
        let of_replay = replay(&demand, setting, 0, None).unwrap().totals.get(&MASS_LOST).unwrap();
        let of_run = scored.figures.get(&MASS_LOST).unwrap();
        assert!(of_run > 0.0 && (of_replay / of_run - 1.0).abs() < 1e-3, "{of_replay}, {of_run}");
    }
}

/// With every expert in memory nothing is looked ahead, whatever was asked for.
#[test]
fn a_trace_says_which_lookahead_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let model = shipped();
    for (name, arena, lookahead) in [("all", Arena::All, "0"), ("half", Arena::Half, "2")] {
        let path = dir.path().join(name);
        let mut engine = engine(&model, arena, 2).unwrap();
        engine.trace_to(hotset_testkit::claim(FileKind::Trace, &path)).unwrap();
        engine.end_trace().unwrap();
        assert_eq!(TraceReader::open(&path).unwrap().header().options["lookahead"], lookahead);
    }
}
