//! Hugging Face directories: config.json, safetensors, tokenizer.json.

mod absent;
mod config;
mod json;
mod names;
mod otherwise;
mod parse;
mod rope;
mod safetensors;
mod shards;
mod special;
mod tied;
mod tokenizer;

use std::path::Path;

use hotset_base::{Architecture, limits};

use self::config::Configured;
use self::names::HubNames;
use crate::assemble::{Head, Names as _, TensorMap, assemble};
use crate::file::read_small;
use crate::named_templates::without_default;
use crate::{Checkpoint, FormatError, Origin, stand_in};

pub(crate) use self::absent::without_config;

/// Whether safetensors lie where a checkpoint has them.
pub(crate) fn has_weights(dir: &Path) -> bool {
    [absent::SINGLE, absent::INDEX].iter().any(|name| dir.join(name).exists())
}

/// Opens a directory as downloaded from the hub.
pub fn open(dir: &Path) -> Result<Checkpoint, FormatError> {
    if !dir.join("config.json").is_file() {
        return Err(FormatError::UnknownFormat {
            path: dir.to_owned(),
            what: "a directory without config.json".to_owned(),
        });
    }
    let Configured { model: config, tied, stop } = config::read(dir)?;
    let (files, tensors) = shards::read(dir)?;
    let names = HubNames::of(&tensors);
    let head = match tied {
        Some(true) => Head::Tied,
        Some(false) => {
            Head::Own("is missing, and config.json says tie_word_embeddings false: get the checkpoint again")
        }
        None => Head::Own(
            "is missing, and config.json does not say tie_word_embeddings: true there makes the embedding the head, false is the default",
        ),
    };
    let copy = tied.unwrap_or(false).then(|| tensors.get(&names.head()).cloned()).flatten();
    let map = TensorMap { model: dir, tensors, names: &names };
    let (dense, experts) = assemble(map, &config, head)?;
    if let Some(copy) = copy {
        tied::check_copy(dir, &files, &names.head(), &copy, &dense.embedding)?;
    }
    let mut warnings = Vec::new();
    let stop = stop.into_iter().chain(config::generation_eos(dir, &mut warnings)?).collect();
    let mut tokenizer = tokenizer::read(dir, &config, stop)?;
    tokenizer.special = special::read(dir)?;
    Ok(Checkpoint {
        origin: Origin::HuggingFace,
        architecture: Architecture::Qwen3Moe,
        files,
        dense,
        experts,
        chat_template: chat_template(dir)?,
        tokenizer,
        config,
        store_id: None,
        suggested_memory: None,
        recipe: None,
        families: Vec::new(),
        warnings,
    })
}

/// `chat_template.jinja`, else the template in tokenizer_config.json (of several, the default one), else that
/// of a processor's chat_template.json.
fn chat_template(dir: &Path) -> Result<Option<String>, FormatError> {
    let path = dir.join("chat_template.jinja");
    if let Some(bytes) = read_small(&path, limits::MAX_TEMPLATE)? {
        let text = String::from_utf8(bytes).map_err(|_| FormatError::malformed(&path, "is not UTF-8"))?;
        return match stand_in::known(text.as_bytes()) {
            Some(what) if !text.is_empty() => Err(FormatError::malformed(&path, what)),
            _ => Ok(Some(text)),
        };
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = dir.join(name);
        let Some(bytes) = read_small(&path, limits::MAX_CONFIG_FILE)? else { continue };
        let found: config::TokenizerConfig = parse::parse(&path, &bytes)?;
        let Some(template) = found.chat_template.0 else { continue };
        if template.len() as u64 > limits::MAX_TEMPLATE.0 {
            let what = format!("the chat template is longer than {}", limits::MAX_TEMPLATE);
            return Err(FormatError::malformed(&path, what));
        }
        return Ok(Some(template));
    }
    additional_templates(&dir.join("additional_chat_templates"))
}

/// Templates by name, where there is no other.
fn additional_templates(dir: &Path) -> Result<Option<String>, FormatError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(None) };
    let mut names = Vec::new();
    for entry in entries.take(limits::MAX_FILES) {
        let name = entry.map_err(FormatError::io(dir, "list"))?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".jinja").map(str::to_owned));
    }
    Ok(without_default(names.iter().map(String::as_str)))
}
