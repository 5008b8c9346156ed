//! A trust ledger changes when experts are read and never what is computed; what it learns is kept, and what is
//! decided with it depends on nothing but the snapshot.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use hotset_base::{Bytes, RowKind, WeightType};
use hotset_engine::{EngineError, EngineOptions, LedgerSettings, MachineMemory, Plan};
use hotset_format::Checkpoint;
use hotset_ledger::LedgerError;
use hotset_outputs::FileKind;
use hotset_policy::Record;
use hotset_policy::contexts::ContextsOptions;
use hotset_policy::evict::EvictKind;
use hotset_policy::route::{RouterOptions, TrustOptions};
use hotset_residency::PagerOptions;
use hotset_testkit::{TinyModel, TinyShape, claim_repeated};

fn tiny(dir: &Path, seed: u64) -> Checkpoint {
    let shape = TinyShape { layers: 4, experts: 16, top_k: 4, ..TinyShape::default() };
    TinyModel::random(shape, seed).write_hf(dir, WeightType::BF16, 2).unwrap();
    hotset_format::open(dir).unwrap()
}

fn options(path: Option<PathBuf>) -> EngineOptions {
    let learns =
        ContextsOptions { context_window: 8, drift: 0.02, patience: 1, ..ContextsOptions::default() };
    let ledger = path.map(|path| {
        let target = claim_repeated(FileKind::TrustLedger, &path);
        LedgerSettings { options: learns, save_every: 16, ..LedgerSettings::new(target) }
    });
    EngineOptions { threads: Some(2), ledger, ..EngineOptions::default() }
}

/// Two texts of different tokens, each twice: contexts are left and known again.
fn texts(vocab: usize) -> Vec<Vec<u32>> {
    let of = |first: usize| (0..48).map(|i| ((first + i % 5) % (vocab - 8)) as u32).collect::<Vec<_>>();
    vec![of(3), of(40), of(3), of(40)]
}

fn read(model: &Checkpoint, options: EngineOptions, arena: Arena, chunk: usize) -> (Vec<u32>, u64) {
    let mut engine = engine_with(model, arena, options).unwrap();
    let mut found = Vec::new();
    for text in texts(model.config.vocab) {
        found.extend(bits(&try_logits(&mut engine, &text, chunk, RowKind::Decode).unwrap()));
    }
    engine.save_ledger().unwrap();
    (found, engine.totals().pager.preloaded)
}

#[test]
fn a_ledger_changes_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&dir.path().join("model"), 31);
    let (expected, _) = read(&model, options(None), Arena::All, 48);
    let kinds = [EvictKind::Lru, EvictKind::Lfu { half_life: Some(64) }, EvictKind::Lfu { half_life: None }];
    for evict in kinds.into_iter().chain([EvictKind::Lfru, EvictKind::LeastStale]) {
        for (arena, chunk) in [(Arena::All, 1), (Arena::Half, 1), (Arena::Half, 20), (Arena::Smallest, 1)] {
            let path = dir.path().join("ledger");
            let _ = std::fs::remove_file(&path);
            let way = EngineOptions { evict, ..options(Some(path)) };
            // The second run has something to start from.
            for run in 0..2 {
                let (found, preloaded) = read(&model, way.clone(), arena, chunk);
                assert!(found == expected, "{evict}, {arena:?}, chunks of {chunk}, run {run}");
                assert!(run == 0 || preloaded > 0, "{evict}, {arena:?}: nothing was preloaded");
            }
        }
    }
}

/// What a lossy policy chooses depends on what is hot, so a run with a ledger is to be the same every time.
#[test]
fn a_lossy_run_with_a_ledger_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&dir.path().join("model"), 32);
    let path = dir.path().join("ledger");
    read(&model, options(Some(path.clone())), Arena::Half, 1);
    let before = std::fs::read(&path).unwrap();
    let router = RouterOptions::Trust(TrustOptions { tolerance: 0.1, ..TrustOptions::default() });
    for lookahead in [0, 2] {
        let pager = PagerOptions { lookahead, ..PagerOptions::default() };
        let run = || {
            std::fs::write(&path, &before).unwrap();
            let way = EngineOptions { router, pager: pager.clone(), ..options(Some(path.clone())) };
            let (found, preloaded) = read(&model, way, Arena::Half, 1);
            assert!(preloaded > 0);
            (found, std::fs::read(&path).unwrap())
        };
        let first = run();
        assert!((0..3).all(|_| run() == first), "lookahead {lookahead}");
        let cold = EngineOptions { router, pager: pager.clone(), ..options(None) };
        assert!(read(&model, cold, Arena::Half, 1).0 != first.0, "the test has no teeth");
    }
}

/// The gains that the trust router weighs are those of the ledger.
#[test]
fn measured_contributions_change_what_trust_chooses() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&dir.path().join("model"), 37);
    let run = |trust, ledger: &str| {
        let path = (!ledger.is_empty()).then(|| dir.path().join(ledger));
        let router = RouterOptions::Trust(TrustOptions { tolerance: 0.2, trust, ..TrustOptions::default() });
        let pager = PagerOptions { lookahead: 0, ..PagerOptions::default() };
        read(&model, EngineOptions { router, pager, ..options(path) }, Arena::Half, 1).0
    };
    assert!(run(0.0, "without") != run(1.0, "with"));
    assert!(run(0.0, "") == run(1.0, ""), "without a ledger all experts are taken for equal");
    let snapshot = hotset_ledger::load(&dir.path().join("with")).unwrap().unwrap();
    let measured = |records: &[Record]| records.iter().filter(|record| record.seen > 4.0).count();
    assert!(measured(&snapshot.records) > 16, "contributions are kept");
}

#[test]
fn starting_over_starts_from_the_ledger_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&dir.path().join("model"), 33);
    let path = dir.path().join("ledger");
    read(&model, options(Some(path.clone())), Arena::Half, 1);
    let mut engine = engine_with(&model, Arena::Half, options(Some(path))).unwrap();
    let start = engine.contexts().unwrap().tokens();
    logits(&mut engine, &texts(model.config.vocab)[0], 1);
    assert!(engine.contexts().unwrap().tokens() > start);
    engine.restart(RouterOptions::Native);
    assert_eq!(engine.contexts().unwrap().tokens(), start);
}

#[test]
fn a_ledger_of_another_model_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (tiny(&dir.path().join("one"), 34), tiny(&dir.path().join("other"), 35));
    let path = dir.path().join("ledger");
    read(&one, options(Some(path.clone())), Arena::Half, 1);
    let before = std::fs::read(&path).unwrap();
    let error = engine_with(&other, Arena::Half, options(Some(path.clone()))).err().unwrap();
    assert!(matches!(error, EngineError::Ledger(LedgerError::OtherModel { .. })), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn the_plan_has_room_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&dir.path().join("model"), 36);
    let memory = MachineMemory { available: Some(Bytes::mib(4096)), ..UNKNOWN };
    let plan = |path| Plan::new(&model, &options(path), memory).unwrap().process.0;
    let records = 16 * 4 * 16 * 20;
    assert!(plan(Some(dir.path().join("ledger"))) >= plan(None) + 3 * records);
}
