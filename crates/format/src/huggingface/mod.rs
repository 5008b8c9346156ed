//! Hugging Face directories: config.json, safetensors, tokenizer.json.

mod config;
mod json;
mod names;
mod safetensors;
mod shards;
mod tokenizer;

use std::path::Path;

use hotset_base::limits;

use crate::assemble::{TensorMap, assemble};
use crate::files::read_small;
use crate::{Checkpoint, FormatError, Origin};

/// Opens a directory as downloaded from the hub.
pub fn open(dir: &Path) -> Result<Checkpoint, FormatError> {
    if !dir.join("config.json").is_file() {
        return Err(FormatError::UnknownFormat {
            path: dir.to_owned(),
            what: "a directory without config.json".to_owned(),
        });
    }
    let (config, tied, config_eos) = config::read(dir)?;
    let (files, tensors) = shards::read(dir)?;
    let map = TensorMap { model: dir, tensors };
    let (dense, experts) = assemble(map, &config, &names::HubNames, Some(tied))?;
    let stop = config_eos.into_iter().chain(config::generation_eos(dir)?).collect();
    let tokenizer = tokenizer::read(dir, &config, stop)?;
    Ok(Checkpoint {
        origin: Origin::HuggingFace,
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
        warnings: Vec::new(),
    })
}

/// `chat_template.jinja`, else the template in tokenizer_config.json (of several, the default one).
fn chat_template(dir: &Path) -> Result<Option<String>, FormatError> {
    let path = dir.join("chat_template.jinja");
    if let Some(bytes) = read_small(&path, limits::MAX_TEMPLATE)? {
        let text = String::from_utf8(bytes).map_err(|_| FormatError::malformed(&path, "is not UTF-8"))?;
        return Ok(Some(text));
    }
    let path = dir.join("tokenizer_config.json");
    let Some(bytes) = read_small(&path, limits::MAX_CONFIG_FILE)? else { return Ok(None) };
    let found: config::TokenizerConfig = config::parse(&path, &bytes)?;
    let template = found.chat_template.0;
    match &template {
        Some(text) if text.len() as u64 > limits::MAX_TEMPLATE.0 => Err(FormatError::malformed(
            &path,
            format!("the chat template is longer than {}", limits::MAX_TEMPLATE),
        )),
        _ => Ok(template),
    }
}
