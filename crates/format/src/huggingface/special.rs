//! The special tokens of tokenizer_config.json and special_tokens_map.json.

use std::path::Path;

use hotset_base::limits;
use serde::{Deserialize, Deserializer};

use super::parse::parse;
use crate::file::read_small;
use crate::{FormatError, SpecialTokens};

/// A token as text or as an object with its `content`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Object { content: String },
}

/// Whether a key is there, and what it says: null takes a token away.
type Said = Option<Option<Token>>;

#[derive(Deserialize, Default)]
struct Names {
    #[serde(default, deserialize_with = "said")]
    bos_token: Said,
    #[serde(default, deserialize_with = "said")]
    eos_token: Said,
    #[serde(default, deserialize_with = "said")]
    pad_token: Said,
    #[serde(default, deserialize_with = "said")]
    unk_token: Said,
    added_tokens_decoder: Option<serde::de::IgnoredAny>,
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Said, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// As transformers reads them: special_tokens_map.json counts, and goes first, unless
/// tokenizer_config.json lists its added tokens.
pub(super) fn read(dir: &Path) -> Result<SpecialTokens, FormatError> {
    let names = |file: &str| -> Result<Names, FormatError> {
        let path = dir.join(file);
        let bytes = read_small(&path, limits::MAX_CONFIG_FILE)?;
        bytes.map_or_else(|| Ok(Names::default()), |bytes| parse(&path, &bytes))
    };
    let config = names("tokenizer_config.json")?;
    let map = match config.added_tokens_decoder {
        Some(_) => Names::default(),
        None => names("special_tokens_map.json")?,
    };
    let text = |map: Said, config: Said, what: &str| match map.or(config).flatten() {
        None => Ok(None),
        Some(Token::Text(text) | Token::Object { content: text })
            if text.len() <= limits::MAX_TOKEN_BYTES =>
        {
            Ok(Some(text))
        }
        Some(_) => {
            let longest = limits::MAX_TOKEN_BYTES;
            Err(FormatError::malformed(dir, format!("{what} is longer than {longest} bytes")))
        }
    };
    Ok(SpecialTokens {
        bos_token: text(map.bos_token, config.bos_token, "bos_token")?,
        eos_token: text(map.eos_token, config.eos_token, "eos_token")?,
        pad_token: text(map.pad_token, config.pad_token, "pad_token")?,
        unk_token: text(map.unk_token, config.unk_token, "unk_token")?,
    })
}
