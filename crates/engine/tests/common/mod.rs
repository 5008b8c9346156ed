//! Opening test models under a given arena.
#![allow(dead_code)] // each test binary uses its own part

use std::path::{Path, PathBuf};

use hotset_base::{Bytes, WeightType};
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::{Engine, EngineError, EngineOptions, Plan};
use hotset_format::Checkpoint;
use hotset_model::{KvCache, KvType, KvTypes};
use hotset_outputs::FileKind;
use hotset_residency::{ArenaPlan, ExpertSource};
use hotset_testkit::{TinyModel, TinyShape, claim};
use hotset_text::Tokenizer;

/// The share of experts that fit the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arena {
    All,
    Half,
    Tenth,
    /// One slot for each size of expert.
    Smallest,
}

pub const ARENAS: [Arena; 4] = [Arena::All, Arena::Half, Arena::Tenth, Arena::Smallest];

impl Arena {
    pub fn plan(self, model: &Checkpoint) -> ArenaPlan {
        let source = ExpertSource::new(model);
        let all = ArenaPlan::shared(&source, Bytes(u64::MAX >> 8)).bytes().0;
        let budget = match self {
            Self::All => all,
            Self::Half => all / 2,
            Self::Tenth => all / 10,
            Self::Smallest => 0,
        };
        ArenaPlan::shared(&source, Bytes(budget))
    }
}

pub fn engine(model: &Checkpoint, arena: Arena, threads: usize) -> Result<Engine, EngineError> {
    engine_with(model, arena, EngineOptions { threads: Some(threads), ..EngineOptions::default() })
}

pub fn engine_with(model: &Checkpoint, arena: Arena, options: EngineOptions) -> Result<Engine, EngineError> {
    let options =
        EngineOptions { memory: Some(Bytes::mib(4096)), kv_types: KvTypes::both(KvType::F32), ..options };
    let mut plan = Plan::new(model, &options, Bytes(0))?;
    plan.arena = arena.plan(model);
    let tokenizer = Tokenizer::new(&model.tokenizer)?;
    Engine::open(model, tokenizer, options, plan, &mut |_| {})
}

/// Logits after every token, computed in chunks of `chunk`.
pub fn logits(engine: &mut Engine, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    let model = engine.model();
    let mut cache = KvCache::new(model.config(), tokens.len(), KvTypes::both(KvType::F32)).unwrap();
    let (mut all, rows, vocab) = (Vec::new(), model.logits_rows(), model.config().vocab);
    for part in tokens.chunks(chunk) {
        model.forward(&mut cache, part).unwrap();
        for first in (0..part.len()).step_by(rows) {
            let end = (first + rows).min(part.len());
            all.extend(model.logits(first..end).chunks(vocab).map(<[f32]>::to_vec));
        }
    }
    all
}

pub fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|x| x.to_bits()).collect()
}

pub fn prompt(vocab: usize, len: usize) -> Vec<u32> {
    (0..len).map(|i| (i * 97 % (vocab - 8)) as u32).collect()
}

/// The same random weights as a Hugging Face directory, a split GGUF and a store.
pub fn every_format(dir: &Path, shape: TinyShape, seed: u64, ty: WeightType) -> Vec<(&'static str, PathBuf)> {
    let tiny = TinyModel::random(shape, seed);
    let (hf, gguf, store) = (dir.join("hf"), dir.join("tiny.gguf"), dir.join("tiny.hotset"));
    tiny.write_hf(&hf, ty, 3).unwrap();
    tiny.write_gguf(&gguf, &|_| ty, 1).unwrap();
    pack_keep(&hf, &store);
    vec![("Hugging Face", hf), ("GGUF", gguf), ("store", store)]
}

pub fn pack_keep(source: &Path, target: &Path) {
    let options = PackOptions { recipe: Recipe::Keep, overrides: Vec::new(), suggested_memory: None };
    let target = claim(FileKind::Store, target);
    pack(&hotset_format::open(source).unwrap(), target, &options, &|_| {}).unwrap();
}
