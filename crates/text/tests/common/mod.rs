//! What the tests share: the demo tokenizer and the golden cases (tests/data/README.txt).
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::LazyLock;

use hotset_format::TokenizerSpec;
use hotset_text::{ChatMessage, Tokenizer};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub struct Golden {
    pub prompts: Vec<Encoding>,
    pub random: Vec<Encoding>,
    pub demo_template: String,
    pub demo_chat: Rendering,
    pub thinking: Vec<Rendering>,
}

#[derive(Deserialize)]
pub struct Encoding {
    pub text: String,
    pub ids: Vec<u32>,
    #[serde(default)]
    pub plain: Vec<u32>,
}

#[derive(Deserialize)]
pub struct Rendering {
    pub messages: Vec<ChatMessage>,
    #[serde(default)]
    pub add_generation_prompt: bool,
    #[serde(default)]
    pub extra: Map<String, Value>,
    pub text: Option<String>,
    pub raised: Option<String>,
}

pub fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/golden.json")).unwrap()
}

pub fn spec() -> TokenizerSpec {
    serde_json::from_str(include_str!("../data/demo-tokenizer.json")).unwrap()
}

pub fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::new(&spec()).unwrap());
    &TOKENIZER
}
