//! GGUF files of architecture `qwen3moe`, versions 2 and 3, whole or split.
//!
//! Source: docs/gguf.md of the ggml repository. The reader is ours because GGUF headers are the most
//! attacked surface of local model runners: nothing here trusts a number before it is checked.

mod config;
mod control;
mod cursor;
mod header;
mod keys;
mod metadata;
mod names;
mod otherwise;
mod rope;
mod split;
mod vocabulary;
mod writer;

use std::path::Path;

use keys::TEMPLATE_KEY;
pub(crate) use split::set_name;
pub use writer::{GgufLayout, GgufPairs, GgufTensor, GgufWriter};

use crate::assemble::{Head, TensorMap, assemble};
use crate::named_templates::without_default;
use crate::{Checkpoint, FormatError, Origin};

/// Opens a GGUF file; of a split set, any part.
pub fn open(path: &Path) -> Result<Checkpoint, FormatError> {
    let (files, mut metadata, tensors) = split::read(path)?;
    let architecture = config::architecture(path, &metadata)?;
    let mut warnings = Vec::new();
    let tokenizer = vocabulary::read(path, &mut metadata, &mut warnings)?;
    let config = config::read(path, &metadata, tokenizer.vocab.len())?;
    warnings.extend(otherwise::check(path, &metadata, &config)?);
    let map = TensorMap { model: path, tensors, names: &names::GgufNames };
    let (dense, experts) = assemble(map, &config, Head::IfThere)?;
    let named = || without_default(metadata.of(TEMPLATE_KEY).map(|(name, _)| name));
    let chat_template = metadata.text(path, TEMPLATE_KEY)?.map(str::to_owned).or_else(named);
    Ok(Checkpoint {
        origin: Origin::Gguf,
        architecture,
        files,
        config,
        dense,
        experts,
        tokenizer,
        chat_template,
        store_id: None,
        suggested_memory: None,
        recipe: None,
        families: Vec::new(),
        warnings,
    })
}
