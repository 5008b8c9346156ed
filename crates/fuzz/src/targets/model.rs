//! A tiny model, and running whatever has become of it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use hotset_base::Bytes;
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::{Engine, EngineOptions, Listener};
use hotset_outputs::FileKind;
use hotset_testkit::{TinyModel, TinyShape, claim};
use hotset_text::{ChatMessage, ChatTemplate, Sampler, SamplerConfig, Variables};

/// Tokens of an answer.
const ANSWER: usize = 3;
/// What the model is told.
const PROMPT: &str = "The hat then.";

/// Always the same model.
pub fn tiny() -> TinyModel {
    let shape = TinyShape {
        hidden: 32,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        experts: 4,
        expert_width: 32,
        context: 64,
        ..TinyShape::default()
    };
    TinyModel::random(shape, 1)
}

/// Packs a model as it is.
pub fn pack_keep(source: &Path, target: &Path) -> Result<(), String> {
    let options = PackOptions { recipe: Recipe::Keep, overrides: Vec::new(), suggested_memory: None };
    let source = hotset_format::open(source).map_err(|e| e.to_string())?;
    pack(&source, claim(FileKind::Store, target), &options, &|_| {}).map_err(|e| e.to_string())?;
    Ok(())
}

/// Collects an answer.
struct Answer(String);

impl Listener for Answer {
    fn text(&mut self, piece: &str) {
        self.0.push_str(piece);
    }
}

/// The likeliest answer of whatever model lies there, planned as `hotset run` does.
pub fn answer(path: &Path) -> Result<String, String> {
    let model = hotset_format::open(path).map_err(|e| e.to_string())?;
    let options = EngineOptions {
        memory: Some(Bytes::mib(64)),
        context: Some(48),
        threads: Some(1),
        ..EngineOptions::default()
    };
    let prepared = Engine::prepare(&model, options).map_err(|e| e.to_string())?;
    // A template that does not compile is said when it is needed.
    let rendered = ChatTemplate::new(model.chat_template.as_deref()).and_then(|template| {
        template.render(&[message()], true, &Variables::default(), &AtomicBool::new(false))
    });
    let prompt = prepared.tokenizer().encode(PROMPT, false).map_err(|e| e.to_string())?;
    let mut engine = prepared.open(&mut |_| {}).map_err(|e| e.to_string())?;
    let mut session = engine.session().map_err(|e| e.to_string())?;
    let config = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
    let mut sampler = Sampler::new(config, model.config.vocab).map_err(|e| e.to_string())?;
    let (cancel, mut text) = (AtomicBool::new(false), Answer(String::new()));
    engine
        .generate(&mut session, &prompt, &mut sampler, Some(ANSWER), &cancel, &mut text)
        .map_err(|e| e.to_string())?;
    Ok(format!("{}\n{}", text.0, rendered.unwrap_or_default()))
}

fn message() -> ChatMessage {
    ChatMessage { role: "user".to_owned(), content: PROMPT.to_owned() }
}
