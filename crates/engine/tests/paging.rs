//! The pager changes when experts are read and never what is computed, whatever the disk does.

mod common;

use common::*;
use hotset_base::{RowKind, WeightType};
use hotset_engine::{EngineError, EngineOptions};
use hotset_format::Checkpoint;
use hotset_io::{FaultPlan, ReadOptions, ReaderKind};
use hotset_model::{EmbeddingPlace, ForwardError, Predictor};
use hotset_policy::evict::EvictKind;
use hotset_residency::PagerOptions;
use hotset_testkit::TinyShape;

fn shape() -> TinyShape {
    TinyShape { experts: 16, top_k: 4, layers: 4, tied: false, ..TinyShape::default() }
}

fn stores(dir: &std::path::Path) -> Vec<Checkpoint> {
    let formats = every_format(dir, shape(), 21, WeightType::BF16);
    formats.iter().map(|(_, path)| hotset_format::open(path).unwrap()).collect()
}

fn options(read: ReadOptions, lookahead: usize) -> EngineOptions {
    let pager = PagerOptions { read, lookahead, ..PagerOptions::default() };
    EngineOptions { threads: Some(2), pager, ..EngineOptions::default() }
}

#[test]
fn no_way_of_paging_changes_a_bit() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for model in stores(dir.path()) {
        let tokens = prompt(model.config.vocab, 40);
        let expected = bits(&logits(&mut engine(&model, Arena::All, 1).unwrap(), &tokens, 40));
        let mut ways = Vec::new();
        for engine in [ReaderKind::Auto, ReaderKind::Pread] {
            for direct in [true, false] {
                let read = ReadOptions { kind: engine, direct, depth: 3, ..ReadOptions::default() };
                ways.extend((0..=2).map(|lookahead| options(read.clone(), lookahead)));
            }
        }
        let half_life = None;
        for evict in [
            EvictKind::Lru,
            EvictKind::Lfu { half_life },
            EvictKind::WindowLfu { half_life },
            EvictKind::Lfru,
            EvictKind::LeastStale,
        ] {
            ways.push(EngineOptions { evict, ..options(ReadOptions::default(), 1) });
        }
        for predictor in [Predictor::Learn, Predictor::Routers].map(Some) {
            ways.push(EngineOptions { predictor, ..options(ReadOptions::default(), 2) });
        }
        let embedding = Some(EmbeddingPlace::Disk);
        ways.push(EngineOptions { embedding, ..options(ReadOptions::default(), 1) });
        let mut without = options(ReadOptions::default(), 1);
        without.pager.register = false;
        ways.push(without);
        for way in ways {
            for (arena, chunk) in [(Arena::Half, 1), (Arena::Tenth, 1), (Arena::Tenth, 16)] {
                let mut engine = engine_with(&model, arena, way.clone()).unwrap();
                let found = bits(&logits(&mut engine, &tokens, chunk));
                assert!(found == expected, "{arena:?}, chunks of {chunk}, {way:?}");
            }
        }
    }
}

/// The logits of every token, or the first error.
fn attempt(engine: &mut hotset_engine::Engine, tokens: &[u32]) -> Result<Vec<u32>, EngineError> {
    Ok(bits(&try_logits(engine, tokens, 1, RowKind::Decode)?))
}

#[test]
fn two_hundred_bad_disks_give_the_same_tokens_or_a_named_error() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // The store: it knows every checksum, so that no corruption can pass as a first read.
    let model = stores(dir.path()).pop().unwrap();
    let tokens = prompt(model.config.vocab, 8);
    let expected = attempt(&mut engine(&model, Arena::All, 1).unwrap(), &tokens).unwrap();
    let (mut right, mut failed, mut recovered) = (0, 0, 0);
    for seed in 0..200 {
        let plan = format!("seed={seed},short=100,interrupted=50,error=15,corrupt=15,slow=1");
        let faults = Some(plan.parse::<FaultPlan>().unwrap());
        let engine = [ReaderKind::Auto, ReaderKind::Pread][seed % 2];
        let read = ReadOptions { kind: engine, faults, ..ReadOptions::default() };
        let mut engine = engine_with(&model, Arena::Tenth, options(read, seed % 3)).unwrap();
        let mut earlier_failure = false;
        for _ in 0..6 {
            match attempt(&mut engine, &tokens) {
                Ok(found) => {
                    assert!(found == expected, "seed {seed}: altered logits");
                    right += 1;
                    recovered += usize::from(earlier_failure);
                }
                Err(EngineError::Forward(ForwardError::Pager(error))) => {
                    assert!(error.to_string().starts_with("expert L"), "{error}");
                    failed += 1;
                    earlier_failure = true;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
    assert!(
        right > 100 && failed > 20 && recovered > 20,
        "{right} right, {failed} failed, {recovered} after"
    );
}

#[test]
fn a_disk_that_dies_ends_the_request_wherever_it_dies() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = stores(dir.path()).pop().unwrap();
    let tokens = prompt(model.config.vocab, 4);
    for dead_from in 1..60 {
        let faults = Some(FaultPlan { dead_from: Some(dead_from), ..FaultPlan::default() });
        let engine = [ReaderKind::Auto, ReaderKind::Pread][dead_from as usize % 2];
        let read = ReadOptions { kind: engine, faults, ..ReadOptions::default() };
        let mut engine = engine_with(&model, Arena::Tenth, options(read, 1)).unwrap();
        let error = attempt(&mut engine, &tokens).unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
        // And again: a failure leaves nothing behind that hangs or lies.
        assert!(attempt(&mut engine, &tokens).is_err());
    }
}
