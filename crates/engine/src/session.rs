//! One conversation: the tokens in the context, and their keys and values.

use hotset_model::{ForwardError, KvCache, Qwen3Moe};

/// A timeline of tokens. The cache always holds exactly `tokens`.
pub struct Session {
    pub(crate) cache: KvCache,
    tokens: Vec<u32>,
}

impl Session {
    pub(crate) fn new(cache: KvCache) -> Self {
        let tokens = Vec::with_capacity(cache.context());
        Self { cache, tokens }
    }

    /// The tokens in the context.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Positions there are.
    pub fn context(&self) -> usize {
        self.cache.context()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cache.truncate(0);
        self.tokens.clear();
    }

    /// Makes the context a prefix of `prompt`, keeping what they share but for the last token of the
    /// prompt: its logits are needed. Returns how many tokens were kept.
    pub(crate) fn rewind_to_shared(&mut self, prompt: &[u32]) -> usize {
        let shared = self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let kept = shared.min(prompt.len().saturating_sub(1));
        self.tokens.truncate(kept);
        self.cache.truncate(kept);
        kept
    }

    /// Computes up to one chunk of tokens and appends them to the context.
    pub(crate) fn append(&mut self, model: &mut Qwen3Moe, tokens: &[u32]) -> Result<(), ForwardError> {
        model.forward(&mut self.cache, tokens)?;
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }
}
