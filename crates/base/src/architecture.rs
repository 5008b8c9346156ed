//! How a model computes: what a file says of it before anything else.

use serde::{Deserialize, Serialize};

/// The architectures that this program runs, by their names in GGUF files and stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Architecture {
    /// Qwen3-MoE. What a file is of that was written before files said it.
    #[default]
    #[serde(rename = "qwen3moe")]
    Qwen3Moe,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Qwen3Moe];

    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qwen3Moe => "qwen3moe",
        }
    }

    /// The architecture of this name, if this program runs it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }
}
