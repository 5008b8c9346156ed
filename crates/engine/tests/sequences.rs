//! Several sessions at once: each has the bits that it has alone, whoever else is in a pass; there are as many as were
//! planned; and what a pass teaches that fails is forgotten.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use hotset_base::limits::MAX_SEQUENCES;
use hotset_base::{Bytes, ExpertId, LayerId, RowKind, WeightType};
use hotset_engine::{
    Engine, EngineError, EngineOptions, LedgerSettings, Plan, PlanError, Session, Turn, Windowing, perplexity,
};
use hotset_format::Checkpoint;
use hotset_io::{FaultPlan, ReadOptions};
use hotset_model::{Activations, Predictor};
use hotset_outputs::FileKind;
use hotset_policy::contexts::ContextsOptions;
use hotset_policy::route::{
    Decision, DropOptions, NotFinite, Route, RouterOptions, RowView, StrictOptions, Trust, TrustOptions,
};
use hotset_residency::PagerOptions;
use hotset_testkit::{Random, TinyModel, TinyShape, claim, claim_repeated};
use hotset_trace::TraceReader;

const TEXTS: usize = 3;

fn shape() -> TinyShape {
    TinyShape { layers: 3, experts: 16, top_k: 4, ..TinyShape::k_quant() }
}

/// Weights that int8 kernels are there for.
fn quantised(dir: &Path, seed: u64) -> Checkpoint {
    let path = dir.join("quantised.gguf");
    TinyModel::random(shape(), seed).write_gguf(&path, &|_| WeightType::Q4_K, 1).unwrap();
    hotset_format::open(&path).unwrap()
}

fn options(sessions: usize) -> EngineOptions {
    EngineOptions { threads: Some(2), sessions, ..EngineOptions::default() }
}

/// The texts, cut into passes at random: which of them take part, with how many tokens, given or decoded.
fn split(engine: &mut Engine, texts: &[Vec<u32>], random: &mut Random) -> Vec<Vec<Vec<f32>>> {
    let mut sessions: Vec<Session> = texts.iter().map(|_| engine.session().unwrap()).collect();
    let mut found = vec![Vec::new(); texts.len()];
    while sessions.iter().zip(texts).any(|(session, text)| session.tokens().len() < text.len()) {
        let mut turns = Vec::new();
        for (session, text) in sessions.iter_mut().zip(texts) {
            let done = session.tokens().len();
            let more = random.below(6).min(text.len() - done);
            let kind = [RowKind::Prompt, RowKind::Decode, RowKind::Draft][random.below(3)];
            if more > 0 {
                turns.push(turn(session, &text[done..done + more], kind));
            }
        }
        if turns.is_empty() {
            continue;
        }
        engine.step(&mut turns).unwrap();
        let took: Vec<usize> = turns.iter().map(|turn| turn.tokens.len()).collect();
        let who: Vec<usize> =
            (0..texts.len()).filter(|&i| sessions[i].tokens().len() > found[i].len()).collect();
        let mut rows = wanted_logits(engine, took.iter().sum()).into_iter();
        for (i, took) in who.into_iter().zip(took) {
            found[i].extend(rows.by_ref().take(took));
        }
    }
    found
}

#[test]
fn every_split_of_several_texts_over_passes_gives_each_what_it_has_alone() {
    let dir = tempfile::tempdir().unwrap();
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let model = quantised(dir.path(), seed);
    let mut random = Random::new(seed);
    for activations in [Activations::Int8, Activations::F32] {
        for arena in [Arena::All, Arena::Half, Arena::Tenth, Arena::Smallest] {
            let texts: Vec<Vec<u32>> = (0..TEXTS)
                .map(|_| (0..24).map(|_| random.below(model.config.vocab - 8) as u32).collect())
                .collect();
            let options = EngineOptions { activations, ..options(TEXTS) };
            let mut engine = engine_with(&model, arena, options).unwrap();
            let alone: Vec<_> = texts.iter().map(|text| bits(&decoded_logits(&mut engine, text))).collect();
            for _ in 0..4 {
                let found = split(&mut engine, &texts, &mut random);
                for (found, alone) in found.iter().zip(&alone) {
                    assert!(bits(found) == *alone, "seed {seed}, {activations:?}, {arena:?}");
                }
            }
        }
    }
}

#[test]
fn a_session_that_was_cut_goes_on_from_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 3);
    let mut engine = engine_with(&model, Arena::Half, options(2)).unwrap();
    let tokens = prompt(model.config.vocab, 12);
    let expected = bits(&logits(&mut engine, &tokens, 12));
    let mut other = engine.session().unwrap();
    let mut session = engine.session().unwrap();
    engine.step(&mut [turn(&mut session, &tokens[4..9], RowKind::Prompt)]).unwrap();
    engine.step(&mut [turn(&mut other, &tokens[2..6], RowKind::Prompt)]).unwrap();
    session.clear();
    engine.step(&mut [turn(&mut session, &tokens, RowKind::Prompt)]).unwrap();
    assert!(bits(&wanted_logits(&mut engine, 12)) == expected);
}

#[test]
fn a_session_whose_scoring_failed_holds_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 10);
    let tokens = prompt(model.config.vocab, 40);
    let expected = decoded_logits(&mut engine(&model, Arena::All, 2).unwrap(), &tokens);
    let faults = Some("seed=3,error=120".parse::<FaultPlan>().unwrap());
    let pager =
        PagerOptions { read: ReadOptions { faults, ..ReadOptions::default() }, ..PagerOptions::default() };
    let options = EngineOptions { pager, chunk: Some(4), ..options(1) };
    let mut engine = engine_with(&model, Arena::Tenth, options).unwrap();
    let mut session = engine.session().unwrap();
    let scored = perplexity(&mut engine, &mut session, &tokens, 40, Windowing::Whole, &mut |_| {});
    assert!(matches!(scored, Err(EngineError::Forward(_))), "the disk was meant to be bad");
    let held = session.tokens().len();
    assert!(session.tokens() == &tokens[..held] && held < tokens.len());
    while engine.step(&mut [Turn::decode(&mut session, &tokens[held])]).is_err() {}
    assert!(bits(&wanted_logits(&mut engine, 1)) == bits(&expected[held..=held]));
}

#[test]
fn one_session_more_than_was_planned_is_refused_until_one_ends() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 4);
    let engine = engine_with(&model, Arena::Half, options(2)).unwrap();
    let (first, _second) = (engine.session().unwrap(), engine.session().unwrap());
    let error = engine.session().err().unwrap();
    assert!(matches!(error, EngineError::Sessions { planned: 2 }), "{error}");
    assert!(error.to_string().contains("2 sessions were planned"), "{error}");
    drop(first);
    engine.session().unwrap();
}

#[test]
fn sessions_are_counted_by_the_plan_and_their_memory_is_taken_on_opening() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 5);
    let plan = |sessions, context| {
        let options =
            EngineOptions { memory: Some(Bytes::mib(4096)), context: Some(context), ..options(sessions) };
        Plan::new(&model, &options, UNKNOWN)
    };
    let of = |sessions| plan(sessions, 1 << 17);
    let [one, three] = [1, 3].map(|sessions| of(sessions).unwrap());
    assert_eq!(three.kv.0, 3 * one.kv.0);
    assert!(three.total() > one.total() && three.sessions == 3, "{three:?}");
    for beyond in [0, MAX_SEQUENCES + 1] {
        assert!(matches!(of(beyond), Err(PlanError::OutOfRange { .. })), "{beyond} sessions");
    }
    assert!(plan(MAX_SEQUENCES, 1 << 10).is_ok());

    let kv = three.kv;
    assert!(kv > Bytes::mib(90), "{kv} is too little to be seen");
    let resident = || hotset_engine::resident_memory().unwrap();
    let before = resident();
    let options = EngineOptions { memory: Some(Bytes::mib(4096)), context: Some(1 << 17), ..options(3) };
    let engine = engine_with(&model, Arena::Smallest, options).unwrap();
    let opened = resident();
    assert!(opened.0 >= before.0 + kv.0 * 9 / 10, "{before} grew to {opened}, not by {kv}");
    let sessions: Vec<Session> = (0..3).map(|_| engine.session().unwrap()).collect();
    assert!(resident().0 < opened.0 + kv.0 / 10, "{} sessions took {}", sessions.len(), resident());
}

/// Two sessions with one text read, predict and evict what one reads, predicts and evicts.
#[test]
fn twins_teach_paging_what_one_teaches() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 6);
    let tokens = prompt(model.config.vocab, 120);
    let run = |together: usize| {
        // Goes by decisions: what is read is the same every time.
        let router = RouterOptions::Drop(DropOptions { factor: 0.3 });
        let predictor = Some(Predictor::Routers);
        let options = EngineOptions { router, predictor, ..options(2) };
        let mut engine = engine_with(&model, Arena::Half, options).unwrap();
        let mut sessions: Vec<Session> = (0..together).map(|_| engine.session().unwrap()).collect();
        for token in &tokens {
            let mut turns: Vec<Turn> = sessions.iter_mut().map(|s| Turn::decode(s, token)).collect();
            engine.step(&mut turns).unwrap();
        }
        let held: Vec<Vec<bool>> =
            (0..model.config.layers as u16).map(|layer| engine.held(LayerId(layer)).to_vec()).collect();
        (engine.totals().pager.prefetch.started, held)
    };
    let (one, twins) = (run(1), run(2));
    assert!(one.0 > 0, "nothing was prefetched");
    assert_eq!(one, twins);
}

/// Every row of a pass is in the trace with its text and position, and what its routers chose is what they choose alone.
#[test]
fn a_trace_of_several_texts_has_each_row_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 9);
    let texts = [prompt(model.config.vocab, 9), prompt(model.config.vocab, 12).split_off(3)];
    let picks = |sessions: usize, texts: &[&Vec<u32>], name: &str| {
        let path = dir.path().join(name);
        let mut engine = engine_with(&model, Arena::Half, options(sessions)).unwrap();
        engine.trace_to(claim(FileKind::Trace, &path)).unwrap();
        let mut sessions: Vec<Session> = texts.iter().map(|_| engine.session().unwrap()).collect();
        for i in 0..9 {
            let turns = sessions.iter_mut().zip(texts).map(|(session, text)| Turn::decode(session, &text[i]));
            engine.step(&mut turns.collect::<Vec<_>>()).unwrap();
        }
        engine.end_trace().unwrap();
        let mut reader = TraceReader::open(&path).unwrap();
        assert_eq!(reader.header().several_texts, sessions.len() > 1);
        let mut rows = Vec::new();
        while let Some(pass) = reader.next_pass().unwrap() {
            assert_eq!(pass.rows.len(), texts.len());
            for (i, row) in pass.rows.iter().enumerate() {
                let chosen = pass.visits.iter().map(|visit| visit.layer_tokens[i].chosen.clone());
                rows.push((
                    row.sequence.index(),
                    row.position,
                    row.token.unwrap(),
                    chosen.collect::<Vec<_>>(),
                ));
            }
        }
        rows
    };
    let mut together = picks(2, &[&texts[0], &texts[1]], "together");
    together.sort_by_key(|row| (row.0, row.1));
    let mut alone = picks(1, &[&texts[0]], "one");
    alone.extend(picks(1, &[&texts[1]], "other").into_iter().map(|row| (1, row.1, row.2, row.3)));
    assert_eq!(together, alone);
}

/// A ledger in a directory, read with a disk of these faults, every token tried until it succeeds.
fn learnt(
    model: &Checkpoint,
    path: &Path,
    router: RouterOptions,
    faults: &str,
) -> (Vec<u32>, Vec<u32>, usize) {
    let target = claim_repeated(FileKind::TrustLedger, path);
    let contexts = ContextsOptions { context_window: 4, ..ContextsOptions::default() };
    let ledger = Some(LedgerSettings { options: contexts, ..LedgerSettings::new(target) });
    let faults = (!faults.is_empty()).then(|| faults.parse::<FaultPlan>().unwrap());
    let read = ReadOptions { faults, ..ReadOptions::default() };
    let pager = PagerOptions { read, ..PagerOptions::default() };
    let options = EngineOptions { router, ledger, pager, ..options(1) };
    let mut engine = engine_with(model, Arena::Tenth, options).unwrap();
    let mut session = engine.session().unwrap();
    let (mut found, mut failures) = (Vec::new(), 0);
    for token in prompt(model.config.vocab, 64) {
        while let Err(error) = engine.step(&mut [Turn::decode(&mut session, &token)]) {
            assert!(matches!(error, EngineError::Forward(_)), "{error}");
            failures += 1;
        }
        found.extend(engine.logits(0..1).iter().map(|x| x.to_bits()));
    }
    let contexts = engine.contexts().unwrap();
    let known = (0..contexts.known().len() as u16).map(hotset_policy::contexts::ContextId);
    let records = known.flat_map(|context| contexts.records(context).to_vec());
    let records = records.flat_map(|record| [record.mass.to_bits(), record.uses.to_bits()]).collect();
    (found, records, failures)
}

#[test]
fn a_pass_that_fails_teaches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 7);
    // Strict goes by evidence alone, so its choices show what a failed pass has left.
    let strict = StrictOptions { hot_set: 6, refresh_tokens: 8, half_life: 32.0, family_share: 0.0 };
    for (name, router) in [("native", RouterOptions::Native), ("strict", RouterOptions::Strict(strict))] {
        let run =
            |file: &str, faults| learnt(&model, &dir.path().join(format!("{name}.{file}")), router, faults);
        let (sound, bad) = (run("sound", ""), run("bad", "seed=5,error=120"));
        assert!(bad.2 > 5 && sound.2 == 0, "{name}: {} passes failed", bad.2);
        assert!(sound.0 == bad.0, "{name}: other logits");
        assert!(!sound.1.is_empty() && sound.1 == bad.1, "{name}: failed passes have left evidence");
    }
}

/// Trust, with a count of what it admits and what is refused.
struct Counting(Trust, Arc<[AtomicU64; 2]>);

impl Route for Counting {
    fn route(&mut self, row: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.0.route(row, out)?;
        self.1[0].fetch_add(out.admit.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn foresee(&self, row: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.0.foresee(row, out)
    }

    fn refused(&mut self, layer: LayerId, expert: ExpertId, bytes: Bytes) {
        self.1[1].fetch_add(1, Ordering::Relaxed);
        self.0.refused(layer, expert, bytes);
    }

    fn is_lossy(&self) -> bool {
        self.0.is_lossy()
    }
}

#[test]
fn every_admission_is_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = quantised(dir.path(), 8);
    let shape = router_shape(&model.config, 2.0);
    let trust = TrustOptions { tolerance: 0.3, admission: 0.2, sacred: 0, ..TrustOptions::default() };
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let router = Box::new(Counting(Trust::new(shape, trust), Arc::clone(&counts)));
    // Nothing is predicted: what is judged was admitted.
    let pager = PagerOptions { lookahead: 0, ..PagerOptions::default() };
    let options = EngineOptions { memory: Some(Bytes::mib(1024)), pager, ..options(1) };
    let prepared = Engine::prepare(&model, options).unwrap().with_arena(Arena::Tenth.plan(&model));
    let mut engine = prepared.open_with_router(router, &mut |_| {}).unwrap();
    decoded_logits(&mut engine, &prompt(model.config.vocab, 100));
    let [admitted, refused] = [0, 1].map(|i| counts[i].load(Ordering::Relaxed));
    assert!(refused > 0 && admitted > refused, "{admitted} admitted, {refused} refused: no test");
    let pager = engine.totals().pager;
    assert_eq!(pager.admitted, admitted - refused);
    // What was read before a token chose it was begun so, whatever the reason.
    let judged = pager.prefetch.used + pager.prefetch.late + pager.prefetch.wasted;
    assert!(judged > 0 && judged <= pager.prefetch.started, "{:?}", pager.prefetch);
    assert!(pager.prefetch.started >= pager.admitted);
}
