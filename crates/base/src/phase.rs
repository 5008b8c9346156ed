//! What a token is for.

/// The part of a conversation a token belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Phase {
    /// A prompt, or a text that is scored a chunk at a time.
    #[default]
    Setup,
    /// The model thinks aloud before it answers.
    Reasoning,
    /// The answer.
    Narration,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Setup, Self::Reasoning, Self::Narration];

    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Reasoning => "reasoning",
            Self::Narration => "narration",
        }
    }

    /// Its tokens are chosen by the model, one after the other.
    pub fn is_decoding(self) -> bool {
        self != Self::Setup
    }
}
