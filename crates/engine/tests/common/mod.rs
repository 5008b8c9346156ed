//! Opening test models under a given arena.
#![allow(dead_code)] // each test binary uses its own part

use std::path::{Path, PathBuf};

use hotset_base::{Bytes, Phase, RowKind, WeightType};
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::{Engine, EngineError, EngineOptions, MachineMemory, Session, Turn, WantLogits};
use hotset_format::{Checkpoint, ModelConfig};
use hotset_model::{KvType, KvTypes};
use hotset_outputs::FileKind;
use hotset_policy::route::RouterShape;
use hotset_residency::{ArenaPlan, ExpertSource};
use hotset_testkit::{TinyModel, TinyShape, claim};

/// A system that says nothing.
pub const UNKNOWN: MachineMemory = MachineMemory { resident: Bytes(0), available: None };

/// Shape of a model's routers over an arena of so many slots per layer.
pub fn router_shape(config: &ModelConfig, slots: f32) -> RouterShape {
    let &ModelConfig { layers, experts, top_k, norm_topk, .. } = config;
    RouterShape { layers, experts, top_k, norm_topk, slots }
}

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
    Engine::prepare(model, options)?.with_arena(arena.plan(model)).open(&mut |_| {})
}

/// A turn whose logits are all wanted: of an answer, or of a prompt.
pub fn turn<'a>(session: &'a mut Session, tokens: &'a [u32], kind: RowKind) -> Turn<'a> {
    let phase = if kind.is_prompt() { Phase::Setup } else { Phase::Narration };
    Turn { session, tokens, phase, kind, logits: WantLogits::All }
}

/// Logits of the first `rows` of the last pass that wanted them.
pub fn wanted_logits(engine: &mut Engine, rows: usize) -> Vec<Vec<f32>> {
    let (at_once, vocab) = (engine.logits_rows(), engine.config().vocab);
    let parts = (0..rows).step_by(at_once).map(|first| first..(first + at_once).min(rows));
    parts
        .flat_map(|part| engine.logits(part).chunks(vocab).map(<[f32]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// Logits after every token, computed in a fresh session in chunks of `chunk`.
pub fn try_logits(
    engine: &mut Engine,
    tokens: &[u32],
    chunk: usize,
    kind: RowKind,
) -> Result<Vec<Vec<f32>>, EngineError> {
    let (mut session, mut all) = (engine.session()?, Vec::new());
    for part in tokens.chunks(chunk) {
        engine.step(&mut [turn(&mut session, part, kind)])?;
        all.extend(wanted_logits(engine, part.len()));
    }
    Ok(all)
}

/// The same of a prompt.
pub fn logits(engine: &mut Engine, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    try_logits(engine, tokens, chunk, RowKind::Prompt).unwrap()
}

/// The same of an answer, token by token.
pub fn decoded_logits(engine: &mut Engine, tokens: &[u32]) -> Vec<Vec<f32>> {
    try_logits(engine, tokens, 1, RowKind::Decode).unwrap()
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
