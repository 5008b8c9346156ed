//! What the engine computed when this file was made, to the last bit: whoever moves a wall compares.
//!
//! Native bits, texts and scores of the shipped model in every recipe and precision; texts and decisions of
//! the lossy policies; replays of recorded runs. Nothing that depends on the disk is here: no hit rate, stall
//! or swap-in of a lossy run. `HOTSET_TEST_GOLDEN=write` makes the file anew.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use common::*;
use hotset_base::Bytes;
use hotset_base::figures::MASS_LOST;
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::{Engine, EngineOptions, Listener, Windowing, perplexity};
use hotset_format::Checkpoint;
use hotset_model::{Activations, KvType, KvTypes};
use hotset_outputs::FileKind;
use hotset_policy::route::{CachePriorOptions, DropOptions, RouterOptions, StrictOptions, TrustOptions};
use hotset_replay::{Demand, Part, ReplayPolicy, Setting, replay};
use hotset_residency::{ArenaPlan, ExpertSource};
use hotset_testkit::claim;
use hotset_text::{Sampler, SamplerConfig};
use hotset_trace::TraceSource;

const RECIPES: [&str; 6] = ["keep", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"];
const CHUNKS: [usize; 3] = [1, 7, 512];
/// Every so many logits have a place in the checksum.
const EVERY: usize = 16;
const PROMPTS: [&str; 3] = ["The old gentleman sat by the fire", "fn main() {", "Q: What is 12 + 30? A:"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text() -> String {
    fs::read_to_string(root().join("crates/engine/tests/data/eval/fiction_en.txt")).unwrap()
}

fn open(model: &Checkpoint, options: EngineOptions, arena: ArenaPlan) -> Engine {
    let options = EngineOptions { memory: Some(Bytes::mib(4096)), threads: Some(2), ..options };
    Engine::prepare(model, options).unwrap().with_arena(arena).open(&mut |_| {}).unwrap()
}

struct Text(String);

impl Listener for Text {
    fn text(&mut self, piece: &str) {
        self.0.push_str(piece);
    }
}

/// A greedy answer and the figures that depend on what was decided alone.
fn greedy(engine: &mut Engine, prompt: &str, tokens: usize) -> (String, String) {
    let vocab = engine.config().vocab;
    let prompt = engine.tokenizer().encode(prompt, true).unwrap();
    let mut session = engine.session().unwrap();
    let sampling = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
    let mut sampler = Sampler::new(sampling, vocab).unwrap();
    let (mut text, never) = (Text(String::new()), AtomicBool::new(false));
    let answer =
        engine.generate(&mut session, &prompt, &mut sampler, Some(tokens), &never, &mut text).unwrap();
    let routing = answer.figures.decode.routing;
    let figures = format!(
        "agreed {} of {}, substituted {}, dropped {}, mass lost {:?}",
        routing.agreed_picks,
        routing.native_picks,
        routing.regret.substituted.picks,
        routing.regret.dropped.picks,
        answer.figures.decode.get(&MASS_LOST).unwrap(),
    );
    (text.0, figures)
}

/// A checksum of the logits after every token of a text.
fn checksum(engine: &mut Engine, tokens: &[u32], chunk: usize) -> u32 {
    let mut crc = 0;
    for row in logits(engine, tokens, chunk) {
        for logit in row.iter().step_by(EVERY) {
            crc = crc32c::crc32c_append(crc, &logit.to_bits().to_le_bytes());
        }
    }
    crc
}

/// The model's own routing: the same bits for every size of chunk.
fn native(out: &mut String, name: &str, model: &Checkpoint) {
    let half = || Arena::Half.plan(model);
    for activations in [Activations::Int8, Activations::F32] {
        for kv in [KvType::F16, KvType::F32] {
            let kv_types = KvTypes::both(kv);
            let options = |chunk| EngineOptions {
                activations,
                kv_types,
                chunk: Some(chunk),
                ..EngineOptions::default()
            };
            let mut engine = open(model, options(512), half());
            let tokens = engine.tokenizer().encode(&text(), true).unwrap();
            let sums =
                CHUNKS.map(|chunk| checksum(&mut open(model, options(chunk), half()), &tokens[..40], chunk));
            assert!(sums.iter().all(|sum| *sum == sums[0]), "{name}: chunks change bits: {sums:x?}");
            let mut session = engine.session().unwrap();
            let score =
                perplexity(&mut engine, &mut session, &tokens[..200], 128, Windowing::Whole, &mut |_| {})
                    .unwrap();
            drop(session);
            let (text, _) = greedy(&mut engine, PROMPTS[0], 24);
            writeln!(
                out,
                "native {name} {activations:?} {kv:?}: logits {:08x}, nll {:016x}, {text:?}",
                sums[0],
                score.nll.to_bits()
            )
            .unwrap();
        }
    }
}

/// Lossy policies, in arenas of given sizes.
fn lossy(out: &mut String, model: &Checkpoint) {
    let policies = [
        RouterOptions::Trust(TrustOptions::default()),
        RouterOptions::Trust(TrustOptions { tolerance: 0.1, admission: 0.1, ..TrustOptions::default() }),
        RouterOptions::Drop(DropOptions::default()),
        RouterOptions::CachePrior(CachePriorOptions::default()),
        RouterOptions::Strict(StrictOptions {
            hot_set: 24,
            refresh_tokens: 32,
            half_life: 64.0,
            family_share: 0.0,
        }),
    ];
    for router in policies {
        for mib in [6, 20] {
            let arena = ArenaPlan::shared(&ExpertSource::new(model), Bytes::mib(mib));
            let mut engine = open(model, EngineOptions { router, ..EngineOptions::default() }, arena);
            for prompt in PROMPTS {
                let (text, figures) = greedy(&mut engine, prompt, 48);
                writeln!(out, "lossy {} {mib} MiB: {figures}, {text:?}", router.name()).unwrap();
            }
        }
    }
}

/// Every cache over recorded runs.
fn replays(out: &mut String, model: &Checkpoint, dir: &Path) {
    const CACHES: [&str; 12] = [
        "lru",
        "global-lru",
        "lfu",
        "global-lfu",
        "window-lfu",
        "global-window-lfu",
        "lfru",
        "global-lfru",
        "least-stale",
        "global-least-stale",
        "belady-layer",
        "belady",
    ];
    for prompt in PROMPTS {
        let trace = dir.join("t.trace");
        let mut engine = open(model, EngineOptions::default(), Arena::All.plan(model));
        engine.trace_to(claim(FileKind::Trace, &trace)).unwrap();
        greedy(&mut engine, prompt, 96);
        engine.end_trace().unwrap();
        let demand = Demand::load(&mut TraceSource::open(&trace).unwrap(), Part::All, false).unwrap();
        for name in CACHES {
            let policy: ReplayPolicy = name.parse().unwrap();
            for experts_per_layer in [4, 16, 48] {
                let found = replay(&demand, Setting { policy, experts_per_layer }, 8, None).unwrap().totals;
                writeln!(
                    out,
                    "replay {name} {experts_per_layer}: {} of {} hot, {} swap-ins, {} bytes, waited {:?}",
                    found.routing.hot_picks,
                    found.routing.routed_picks,
                    found.pager.swap_ins,
                    found.pager.bytes_read.0,
                    found.routing.regret.waited.mass,
                )
                .unwrap();
            }
        }
    }
}

fn document() -> String {
    let dir = tempfile::tempdir().unwrap();
    let shipped = hotset_format::open(&root().join("models/demo/demo.hotset")).unwrap();
    let mut out = String::new();
    for name in RECIPES {
        let (path, recipe): (_, Recipe) = (dir.path().join(format!("{name}.hotset")), name.parse().unwrap());
        let options = PackOptions { recipe, overrides: Vec::new(), suggested_memory: None };
        pack(&shipped, claim(FileKind::Store, &path), &options, &|_| {}).unwrap();
        native(&mut out, name, &hotset_format::open(&path).unwrap());
    }
    lossy(&mut out, &shipped);
    replays(&mut out, &shipped, dir.path());
    out
}

#[test]
fn nothing_that_was_computed_has_changed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.txt");
    let found = document();
    if std::env::var_os("HOTSET_TEST_GOLDEN").is_some_and(|word| word == "write") {
        return fs::write(path, found).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    for (golden, found) in golden.lines().zip(found.lines()) {
        assert_eq!(golden, found);
    }
    assert_eq!(golden.lines().count(), found.lines().count());
}
