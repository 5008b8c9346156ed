//! Tokens that chat templates call by a role.

use serde::{Deserialize, Serialize};

/// Texts of the tokens that begin and end a sequence, fill one up, and stand for what is unknown, as the model's
/// files name them. Those that they do not name are no variables of a template.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecialTokens {
    /// Begins a sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token: Option<String>,
    /// Ends one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos_token: Option<String>,
    /// Fills one up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token: Option<String>,
    /// Stands for what is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unk_token: Option<String>,
}

impl SpecialTokens {
    /// Whether none is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Name and text of those that are named: variables of a chat template.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("bos_token", &self.bos_token),
            ("eos_token", &self.eos_token),
            ("pad_token", &self.pad_token),
            ("unk_token", &self.unk_token),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}
