//! The embedded vocabulary: byte-level BPE (`gpt2`) with the `qwen2` pre-tokenizer.

use std::path::Path;

use super::control::{Evidence, FIM_ENDS, Retyped};
use super::keys::{CONTROL, MERGES, MODEL_KEY, PRE_KEY, STOP_IDS, TOKEN_TYPES, TOKENS, UNUSED, USER_DEFINED};
use super::metadata::Metadata;
use crate::vocabulary::specification;
use crate::{AddedToken, FormatError, SpecialTokens, TokenizerSpec};

/// Ids of the tokens that chat templates call by a role: to begin, to end, to fill up, unknown.
const ROLE_KEYS: [&str; 4] = [
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.unknown_token_id",
];
/// The tokens that end an answer in llama.cpp too.
const STOP_KEYS: [&str; 6] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// Takes the vocabulary out of the metadata; what is to be said of it goes to the warnings.
pub(super) fn read(
    path: &Path,
    metadata: &mut Metadata,
    warnings: &mut Vec<String>,
) -> Result<TokenizerSpec, FormatError> {
    check_kind(path, metadata)?;
    let mut vocab = metadata.take_texts(path, TOKENS)?;
    let merges = metadata.take_texts(path, MERGES)?;
    // Without types the control tokens could not be told from text.
    let types = metadata
        .take_numbers(path, TOKEN_TYPES)?
        .ok_or_else(|| FormatError::malformed(path, format!("metadata key `{TOKEN_TYPES}` is missing")))?;
    if types.len() != vocab.len() {
        return Err(FormatError::malformed(path, format!("{TOKEN_TYPES} and {TOKENS} differ in length")));
    }
    let special = special(path, metadata, &vocab);
    let evidence = Evidence::new(metadata, &merges);
    let (mut added, mut retyped) = (Vec::new(), Retyped::default());
    for (id, mut kind) in types.into_iter().enumerate() {
        if let Some(right) = evidence.kind(id, kind, &vocab[id]) {
            kind = right;
            retyped.push(&vocab[id]);
        }
        match kind {
            CONTROL | USER_DEFINED => added.push(AddedToken {
                id: id as u32,
                content: std::mem::take(&mut vocab[id]),
                special: kind == CONTROL,
            }),
            UNUSED => vocab[id].clear(),
            _ => {}
        }
    }
    warnings.extend(retyped.warning());
    let named = STOP_KEYS.iter().filter_map(|key| metadata.number(path, key).transpose());
    let mut stop = named.collect::<Result<Vec<_>, FormatError>>()?;
    let several = metadata.take_numbers(path, STOP_IDS)?.unwrap_or_default();
    stop.extend(several.into_iter().map(|id| u64::from(id as u32)));
    let ends = added.iter().filter(|token| FIM_ENDS.contains(&token.content.as_str()));
    stop.extend(ends.map(|token| u64::from(token.id)));
    let merges = merges.iter().map(|merge| merge.split_once(' ').unwrap_or((merge, "")));
    Ok(TokenizerSpec { special, ..specification(path, vocab, merges, added, stop)? })
}

/// The texts of the tokens that the metadata call by a role. Some files say -1 for none.
fn special(path: &Path, metadata: &Metadata, vocab: &[String]) -> SpecialTokens {
    let text = |key: &str| {
        let id = metadata.number(path, key).ok().flatten().and_then(|id| usize::try_from(id).ok());
        id.and_then(|id| vocab.get(id)).cloned()
    };
    let [bos_token, eos_token, pad_token, unk_token] = ROLE_KEYS.map(text);
    SpecialTokens { bos_token, eos_token, pad_token, unk_token }
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), FormatError> {
    let wanted = [(MODEL_KEY, "gpt2"), (PRE_KEY, "qwen2")];
    for (key, supported) in wanted {
        match metadata.text(path, key)? {
            Some(found) if found == supported => {}
            found => {
                let found = crate::printable::printable(found.unwrap_or("(missing)"));
                return Err(FormatError::unsupported(path, format!("{key} `{found}`"), supported));
            }
        }
    }
    for token in ["BOS", "EOS", "SEP"] {
        let key = format!("tokenizer.ggml.add_{}_token", token.to_lowercase());
        if metadata.flag(path, &key)? == Some(true) {
            let what = format!("a vocabulary that adds a token to every prompt, {token} ({key})");
            return Err(FormatError::unsupported(path, what, "one that adds nothing"));
        }
    }
    Ok(())
}
