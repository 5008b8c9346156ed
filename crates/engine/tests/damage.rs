//! Invariant 2: no token is ever computed from altered weights, and a failed request is not the end.

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::*;
use hotset_base::{RowKind, WeightType};
use hotset_engine::{EngineError, EngineOptions, Listener};
use hotset_format::store::verify;
use hotset_model::ForwardError;
use hotset_residency::PagerError;
use hotset_testkit::{Random, TinyModel, TinyShape};
use hotset_text::{Sampler, SamplerConfig};

/// Logits of a short prompt, or why there are none.
fn attempt(path: &Path, arena: Arena) -> Result<Vec<u32>, String> {
    let model = hotset_format::open(path).map_err(|e| e.to_string())?;
    let mut engine = engine(&model, arena, 1).map_err(|e| e.to_string())?;
    let tokens = prompt(model.config.vocab, 12);
    Ok(bits(&try_logits(&mut engine, &tokens, 4, RowKind::Prompt).map_err(|e| e.to_string())?))
}

fn flip(path: &Path, at: u64, mask: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ mask], at).unwrap();
}

#[test]
fn any_flipped_byte_of_a_store_is_reported_and_never_computed_with() {
    let dir = tempfile::tempdir().unwrap();
    let (source, store) = (dir.path().join("hf"), dir.path().join("tiny.hotset"));
    TinyModel::random(TinyShape::default(), 21).write_hf(&source, WeightType::BF16, 1).unwrap();
    pack_keep(&source, &store);
    let length = fs::metadata(&store).unwrap().len();
    let sound = attempt(&store, Arena::Half).unwrap();
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    let (mut refused, mut unused) = (0, 0);
    for round in 0..400 {
        // Half of the flips go to the first pages: header, metadata, tables.
        let end = if round % 2 == 0 { length } else { 3 * 4096 };
        let (at, mask) = (random.below(end as usize) as u64, 1 << random.below(8));
        flip(&store, at, mask);
        let checked = hotset_format::open(&store)
            .map_err(|e| e.to_string())
            .and_then(|model| verify(&model, &mut |_| {}).map_err(|e| e.to_string()));
        assert!(checked.is_err(), "seed {seed}: verify missed bit {mask:#x} of byte {at}");
        match attempt(&store, Arena::Half) {
            Err(message) => {
                refused += 1;
                assert!(!message.contains('\n'), "{message}");
            }
            Ok(logits) => {
                unused += 1;
                assert!(logits == sound, "seed {seed}: altered weights at byte {at} were used");
            }
        }
        flip(&store, at, mask);
    }
    assert!(refused > 100 && unused > 0, "{refused} refused, {unused} not used");
    assert!(attempt(&store, Arena::Half).unwrap() == sound);
}

#[test]
fn a_store_cut_anywhere_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (source, store, cut) =
        (dir.path().join("hf"), dir.path().join("a.hotset"), dir.path().join("cut.hotset"));
    TinyModel::random(TinyShape::default(), 22).write_hf(&source, WeightType::BF16, 1).unwrap();
    pack_keep(&source, &store);
    let bytes = fs::read(&store).unwrap();
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    let ends = [0, 1, 7, 8, 4095, 4096, 4097, bytes.len() - 1, bytes.len() - 4096];
    let random_ends: Vec<usize> = (0..300).map(|_| random.below(bytes.len())).collect();
    for end in ends.into_iter().chain(random_ends) {
        fs::write(&cut, &bytes[..end]).unwrap();
        let error = hotset_format::open(&cut).expect_err(&format!("seed {seed}: cut at {end}")).to_string();
        assert!(error.contains("cut.hotset"), "{error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    fs::write(&cut, &longer).unwrap();
    assert!(hotset_format::open(&cut).unwrap_err().to_string().contains("trailing bytes"));
    let whole = hotset_format::open(&store).unwrap();
    let places = whole.experts.iter().enumerate();
    // Records lie in the order of families.
    let (flat, _) = places.max_by_key(|(_, expert)| expert.down.extent.offset).unwrap();
    let (layer, expert) = (flat / whole.config.experts, flat % whole.config.experts);
    let last = bytes.len() - 4096;
    fs::write(&cut, &bytes[..last]).unwrap();
    let error = hotset_format::open(&cut).unwrap_err().to_string();
    assert!(error.contains(&format!("store truncated: record L{layer}/E{expert} ends")), "{error}");
}

#[test]
fn swapped_and_foreign_records_are_caught() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (seed, name) in [(1, "a"), (2, "b")] {
        TinyModel::random(TinyShape::default(), seed).write_hf(&path(name), WeightType::BF16, 1).unwrap();
        pack_keep(&path(name), &path(&format!("{name}.hotset")));
    }
    let model = hotset_format::open(&path("a.hotset")).unwrap();
    let record = |i: usize| {
        let start = model.experts[i].gate.extent.offset as usize;
        start..model.experts[i].down.extent.end() as usize
    };
    let (a, b) = (fs::read(path("a.hotset")).unwrap(), fs::read(path("b.hotset")).unwrap());
    let mut swapped = a.clone();
    swapped[record(3)].copy_from_slice(&a[record(5)]);
    swapped[record(5)].copy_from_slice(&a[record(3)]);
    let mut foreign = a.clone();
    foreign[record(0)].copy_from_slice(&b[record(0)]);
    for bytes in [swapped, foreign] {
        fs::write(path("c.hotset"), bytes).unwrap();
        let model = hotset_format::open(&path("c.hotset")).unwrap();
        let error = verify(&model, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("record L0/E"), "{error}");
    }
}

#[test]
fn a_file_that_changes_under_us_ends_the_request_and_not_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    for (format, path) in every_format(dir.path(), TinyShape::default(), 31, WeightType::BF16) {
        let model = hotset_format::open(&path).unwrap();
        // One slot a size: every expert is read again and again.
        let options = EngineOptions { threads: Some(1), ..EngineOptions::default() };
        let mut engine = engine_with(&model, Arena::Smallest, options).unwrap();
        let tokens = prompt(model.config.vocab, 8);
        let sound = bits(&logits(&mut engine, &tokens, 8));
        let part = model.experts.iter().map(|expert| expert.up).next().unwrap();
        let file = &model.file(part.extent.file).path;
        // Every weight of every expert's up matrix in layer 0.
        for expert in &model.experts[..model.config.experts] {
            flip(&model.file(expert.up.extent.file).path, expert.up.extent.offset, 1);
        }
        let mut session = engine.session().unwrap();
        let error = engine.step(&mut [turn(&mut session, &tokens, RowKind::Prompt)]).unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::Forward(ForwardError::Pager(PagerError::Checksum { part: "up", .. }))
            ),
            "{format}: {error}"
        );
        assert!(error.to_string().contains("does not match its checksum"), "{}: {error}", file.display());
        assert!(session.tokens().is_empty());
        drop(session);
        for expert in &model.experts[..model.config.experts] {
            flip(&model.file(expert.up.extent.file).path, expert.up.extent.offset, 1);
        }
        assert!(bits(&logits(&mut engine, &tokens, 8)) == sound, "{format}: the engine goes on");
    }
}

#[test]
fn weights_that_are_not_numbers_end_the_request_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut tiny = TinyModel::random(TinyShape::default(), 41);
    for tensor in tiny.tensors.iter_mut().filter(|t| t.name.contains("layers.0.mlp.experts")) {
        tensor.values.fill(f32::NAN);
    }
    tiny.write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let error = attempt(dir.path(), Arena::All).unwrap_err();
    assert!(error.contains("router of layer L1"), "{error}");
}

/// Changes the model's file when the first piece of an answer comes.
struct Changes<'a>(&'a Path, bool);

impl Listener for Changes<'_> {
    fn text(&mut self, _: &str) {
        if !std::mem::replace(&mut self.1, true) {
            let end = fs::metadata(self.0).unwrap().len();
            flip(self.0, end - 1, 1);
        }
    }
}

/// With every expert in memory nothing is read again that a checksum could find.
#[test]
fn an_answer_computed_while_its_file_changed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    TinyModel::random(TinyShape::default(), 24).write_gguf(&path, &|_| WeightType::F16, 1).unwrap();
    let model = hotset_format::open(&path).unwrap();
    let mut engine = engine(&model, Arena::All, 1).unwrap();
    let mut session = engine.session().unwrap();
    let mut sampler = Sampler::new(SamplerConfig::default(), model.config.vocab).unwrap();
    let mut answer = |changed| {
        let (cancel, mut listener) = (AtomicBool::new(false), Changes(&path, changed));
        engine.generate(&mut session, &[1, 2, 3], &mut sampler, Some(4), &cancel, &mut listener).map(drop)
    };
    answer(true).unwrap();
    let error = answer(false).unwrap_err().to_string();
    assert!(error.contains("m.gguf: changed while it was in use (it was written to)"), "{error}");
    answer(true).unwrap_err();
}
