//! What the figures of a run must add up to, whatever the disk and the policy.

mod common;

use common::*;
use hotset_base::WeightType;
use hotset_base::figures::Totals;
use hotset_engine::{EngineOptions, Windowing, perplexity};
use hotset_format::Checkpoint;
use hotset_io::{FaultPlan, ReadOptions};
use hotset_policy::route::{RouterOptions, TrustOptions};
use hotset_residency::PagerOptions;
use hotset_testkit::{TinyModel, TinyShape};

fn tiny(dir: &std::path::Path) -> Checkpoint {
    let shape = TinyShape { layers: 3, experts: 20, top_k: 4, ..TinyShape::default() };
    TinyModel::random(shape, 8).write_hf(dir, WeightType::BF16, 2).unwrap();
    hotset_format::open(dir).unwrap()
}

/// Figures of a text that is scored on a disk with these faults.
fn scored(model: &Checkpoint, router: RouterOptions, lookahead: usize, faults: &str) -> Totals {
    let faults: Option<FaultPlan> = Some(faults.parse().unwrap());
    // Few reads at a time: a policy that goes by decisions waits for room before it can ask for more.
    let read = ReadOptions { faults, depth: 4, ..ReadOptions::default() };
    let pager = PagerOptions { lookahead, read, ..PagerOptions::default() };
    let options = EngineOptions { threads: Some(1), router, pager, ..EngineOptions::default() };
    let mut engine = engine_with(model, Arena::Tenth, options).unwrap();
    let (mut session, text) = (engine.session().unwrap(), prompt(model.config.vocab, 24));
    let windows = (24, Windowing::Whole);
    perplexity(&mut engine, &mut session, &text, windows.0, windows.1, &mut |_| {}).unwrap().figures
}

/// Under a lossy policy the pager waits while experts are asked for and predicted, too, which counted as
/// stall and as time of the router: benchmarks took the one from the experts' time, which was 0 then.
#[test]
fn a_wait_for_a_read_is_stall_and_no_stages_time() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let trust = TrustOptions { tolerance: 0.02, ..TrustOptions::default() };
    for router in [RouterOptions::Native, RouterOptions::Trust(trust)] {
        for lookahead in [0, 2] {
            let found = scored(&model, router, lookahead, "rate=16MB");
            let case = format!("{}, lookahead {lookahead}: {found:?}", router.name());
            assert!(!found.pager.stall.is_zero(), "the disk is slow: {case}");
            assert!(found.stages.total() + found.pager.stall <= found.time, "{case}");
            assert!(!found.stages.experts.is_zero() && !found.stages.router.is_zero(), "{case}");
        }
    }
}
