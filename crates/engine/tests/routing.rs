//! Lossy routing in the engine: with its knobs at zero the bits are the native ones; otherwise what it does is
//! counted, priced, and the same in every run.

mod common;

use common::*;
use hotset_base::figures::{AGREEMENT, HIT_RATE, MASS_LOST, Totals};
use hotset_base::{LayerId, RowKind, WeightType};
use hotset_engine::{EngineOptions, Price, Turn, Windowing, price};
use hotset_format::Checkpoint;
use hotset_io::{FaultPlan, ReadOptions, ReaderKind};
use hotset_model::Predictor;
use hotset_policy::route::{CachePriorOptions, DropOptions, RouterOptions, StrictOptions, TrustOptions};
use hotset_residency::{PagerOptions, Timing};
use hotset_testkit::{TinyModel, TinyShape};

fn tiny(dir: &std::path::Path, seed: u64) -> Checkpoint {
    let shape = TinyShape { layers: 3, experts: 20, top_k: 4, ..TinyShape::default() };
    TinyModel::random(shape, seed).write_hf(dir, WeightType::BF16, 2).unwrap();
    hotset_format::open(dir).unwrap()
}

fn options(router: RouterOptions) -> EngineOptions {
    let pager = PagerOptions { lookahead: 0, ..PagerOptions::default() };
    EngineOptions { threads: Some(2), router, pager, ..EngineOptions::default() }
}

fn trust() -> TrustOptions {
    TrustOptions { tolerance: 0.1, admission: 1.0, ..TrustOptions::default() }
}

fn price_of(model: &Checkpoint, router: RouterOptions) -> Price {
    let mut engine = engine_with(model, Arena::Half, options(router)).unwrap();
    let (mut session, text) = (engine.session().unwrap(), prompt(model.config.vocab, 100));
    price(&mut engine, &mut session, &text, (50, Windowing::Whole), &mut |_| {}).unwrap()
}

#[test]
fn trust_that_tolerates_nothing_gives_the_native_bits() {
    for seed in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let model = tiny(dir.path(), seed);
        let tokens = prompt(model.config.vocab, 40);
        let of = |router| {
            let mut engine = engine_with(&model, Arena::Tenth, options(router)).unwrap();
            bits(&decoded_logits(&mut engine, &tokens))
        };
        let zero = TrustOptions { tolerance: 0.0, ..trust() };
        assert!(of(RouterOptions::Native) == of(RouterOptions::Trust(zero)));
        assert!(of(RouterOptions::Native) != of(RouterOptions::Trust(trust())), "the test has no teeth");
    }
}

/// Every native pick is agreed or lost in one way, and the masses are those of all picks.
fn adds_up(of: &Totals, top_k: u64) {
    let r = &of.routing;
    let picks = r.agreed_picks + r.regret.substituted.picks + r.regret.dropped.picks;
    assert_eq!(r.native_picks, picks);
    assert_eq!(r.native_picks, of.tokens * 3 * top_k);
    assert_eq!(r.routed_picks, r.agreed_picks + r.regret.substituted.picks);
    assert!((r.native_mass - of.tokens as f64 * 3.0).abs() < 1e-2);
    assert!(r.regret.waited.picks <= r.missed_picks && of.get(&HIT_RATE) <= Some(1.0));
}

#[test]
fn every_policy_is_counted_and_priced() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path(), 4);
    let policies = [
        RouterOptions::CachePrior(CachePriorOptions { lambda: 0.3, ..CachePriorOptions::default() }),
        RouterOptions::Drop(DropOptions { factor: 1.0 }),
        RouterOptions::Trust(trust()),
        RouterOptions::Strict(StrictOptions {
            hot_set: 6,
            refresh_tokens: 8,
            half_life: 32.0,
            family_share: 0.0,
        }),
    ];
    for router in policies {
        let found = price_of(&model, router);
        let (native, policy) = (&found.native.figures, &found.policy.figures);
        adds_up(native, 4);
        adds_up(policy, 4);
        assert_eq!(native.get(&AGREEMENT), Some(1.0));
        assert!(policy.get(&AGREEMENT) < Some(1.0), "{}", router.name());
        assert!(policy.get(&MASS_LOST) > Some(0.0) && policy.get(&MASS_LOST) < Some(1.0));
        assert!(
            found.mean_kl() > 0.0 && found.policy.nll != found.native.nll,
            "{}: {found:?}",
            router.name()
        );
        assert!(policy.pager.swap_ins < native.pager.swap_ins, "{} reads more", router.name());
        assert_eq!(
            policy.routing.regret.dropped.picks > 0,
            policy.routing.routed_picks < policy.routing.native_picks
        );
    }
}

#[test]
fn a_policy_that_loses_nothing_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path(), 5);
    let zero = RouterOptions::Trust(TrustOptions { tolerance: 0.0, ..TrustOptions::default() });
    let found = price_of(&model, zero);
    assert_eq!(found.native.nll.to_bits(), found.policy.nll.to_bits());
    assert!(found.mean_kl() < 1e-6 && found.top_agreement() == 1.0);
    assert_eq!(found.native.figures.pager.swap_ins, found.policy.figures.pager.swap_ins);
}

#[test]
fn a_lossy_run_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path(), 6);
    let tokens = prompt(model.config.vocab, 60);
    let run = |threads| {
        let options = EngineOptions { threads: Some(threads), ..options(RouterOptions::Trust(trust())) };
        let mut engine = engine_with(&model, Arena::Half, options).unwrap();
        bits(&decoded_logits(&mut engine, &tokens))
    };
    let first = run(1);
    assert!((0..4).all(|i| run(1 + i % 3) == first));
}

/// Disks that answer at different speeds and in different orders.
fn disks() -> Vec<ReadOptions> {
    let slow = |faults: &str| Some(faults.parse::<FaultPlan>().unwrap());
    vec![
        ReadOptions::default(),
        ReadOptions { kind: ReaderKind::Pread, depth: 1, ..ReadOptions::default() },
        ReadOptions { faults: slow("seed=1,slow=15"), ..ReadOptions::default() },
        ReadOptions { faults: slow("rate=200MB"), depth: 2, ..ReadOptions::default() },
    ]
}

/// Logits after a prompt and `tokens`, and what is held in the end.
fn lossy(model: &Checkpoint, arena: Arena, options: EngineOptions, tokens: &[u32]) -> (Vec<u32>, Vec<bool>) {
    let mut engine = engine_with(model, arena, options).unwrap();
    let mut session = engine.session().unwrap();
    let (prompt, text) = tokens.split_at(8);
    engine.step(&mut [turn(&mut session, prompt, RowKind::Prompt)]).unwrap();
    let mut found = Vec::new();
    for token in text {
        engine.step(&mut [Turn::decode(&mut session, token)]).unwrap();
        found.extend(engine.logits(0..1).iter().map(|x| x.to_bits()));
    }
    let held = (0..model.config.layers as u16).flat_map(|layer| engine.held(LayerId(layer)).to_vec());
    (found, held.collect())
}

#[test]
fn what_a_lossy_run_computes_does_not_depend_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path(), 7);
    let tokens = prompt(model.config.vocab, 40);
    let routers = [
        RouterOptions::Trust(trust()),
        RouterOptions::Trust(TrustOptions { tolerance: 0.1, admission: 0.0, ..TrustOptions::default() }),
        RouterOptions::CachePrior(CachePriorOptions::default()),
        RouterOptions::Drop(DropOptions::default()),
    ];
    for router in routers {
        for lookahead in 0..=2 {
            for arena in [Arena::Half, Arena::Tenth, Arena::Smallest] {
                let on = |read| {
                    let pager = PagerOptions { lookahead, read, ..PagerOptions::default() };
                    let predictor = Some(Predictor::Learn);
                    lossy(&model, arena, EngineOptions { pager, predictor, ..options(router) }, &tokens)
                };
                let mut runs = disks().into_iter().map(on);
                let first = runs.next().unwrap();
                assert!(runs.all(|run| run == first), "{router:?}, lookahead {lookahead}, {arena:?}");
            }
        }
    }
}

/// By decisions a native run reads other experts than by time, and slower: what --compare-native calls native
/// was run under the rule of the policy beside it, and a policy that loses nothing under that of one that does.
#[test]
fn the_pager_goes_by_what_the_policy_in_charge_needs() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path(), 7);
    let lossless = RouterOptions::Trust(TrustOptions { tolerance: 0.0, ..TrustOptions::default() });
    let lossy = RouterOptions::Trust(trust());
    let mut engine = engine_with(&model, Arena::Half, options(lossy)).unwrap();
    for (router, timing) in [
        (lossy, Timing::ByDecisions),
        (RouterOptions::Native, Timing::ByTime),
        (lossy, Timing::ByDecisions),
        (lossless, Timing::ByTime),
        (RouterOptions::Drop(DropOptions { factor: 0.0 }), Timing::ByTime),
    ] {
        engine.restart(router);
        assert_eq!((engine.router(), engine.timing()), (router, timing));
        assert_eq!(router.is_lossy(), timing == Timing::ByDecisions);
    }
}
