//! What both formats' vocabularies must satisfy to become a [`TokenizerSpec`].

use std::collections::HashMap;
use std::path::Path;

use hotset_base::limits;

use crate::{AddedToken, FormatError, SpecialTokens, TokenizerSpec};

/// Tokens that end an answer in this family, by name; llama.cpp treats them so too.
const STOP_NAMES: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// Builds and checks a specification. `vocab` is indexed by id; `merges` are pairs of token texts;
/// `stop` are the ids that the model's own settings name.
pub(crate) fn specification<'m>(
    path: &Path,
    vocab: Vec<String>,
    merges: impl Iterator<Item = (&'m str, &'m str)>,
    mut added: Vec<AddedToken>,
    stop: Vec<u64>,
) -> Result<TokenizerSpec, FormatError> {
    let ids: HashMap<&str, u32> = vocab
        .iter()
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(|(id, text)| (text.as_str(), id as u32))
        .collect();
    let id = |text: &str| {
        ids.get(text).copied().ok_or_else(|| {
            let what = format!(
                "merges use the token `{}`, which is not in the vocabulary",
                crate::printable::printable(text)
            );
            FormatError::malformed(path, what)
        })
    };
    let merges =
        merges.map(|(left, right)| Ok((id(left)?, id(right)?))).collect::<Result<_, FormatError>>()?;
    added.sort_by_key(|token| token.id);
    let mut stop =
        stop.into_iter().map(|id| stop_id(path, id, vocab.len())).collect::<Result<Vec<_>, _>>()?;
    stop.extend(added.iter().filter(|t| STOP_NAMES.contains(&t.content.as_str())).map(|t| t.id));
    stop.sort_unstable();
    stop.dedup();
    Ok(TokenizerSpec { vocab, merges, added, stop, uncomposed: false, special: SpecialTokens::default() })
}

fn stop_id(path: &Path, id: u64, vocab: usize) -> Result<u32, FormatError> {
    u32::try_from(id).ok().filter(|&id| (id as usize) < vocab).ok_or_else(|| {
        let what = format!("answers should end at token {id}, which is beyond the vocabulary of {vocab}");
        FormatError::malformed(path, what)
    })
}

/// Checks a token against the limits and keeps the total of their bytes.
pub(crate) fn count_token(path: &Path, text: &str, total: &mut u64) -> Result<(), FormatError> {
    *total += text.len() as u64;
    if text.len() > limits::MAX_TOKEN_BYTES || *total > limits::MAX_VOCAB_BYTES.0 {
        return Err(FormatError::malformed(
            path,
            "a token, or all of them together, are longer than any vocabulary's",
        ));
    }
    Ok(())
}
