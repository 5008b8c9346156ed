//! Texts to tokenise, with the texts of control tokens and without.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::WeightType;
use hotset_testkit::Random;
use hotset_text::Tokenizer;

use super::model;
use crate::mutate::{once_in, pick, text};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "prompt.txt";
const WORDS: [&str; 16] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|im_",
    "the",
    "'s",
    "'LL",
    "\r\n",
    "   ",
    "\u{301}\u{323}",
    "e\u{301}",
    "각",
    "ﬁ",
    "１２３",
    "ß",
    "👩‍👩‍👧",
    "\u{1f1e6}\u{1f1e7}",
];

struct Text {
    tokenizer: Tokenizer,
    vocab: usize,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let dir = workshop.sound.join("hf");
    model::tiny().write_hf(&dir, WeightType::BF16, 1)?;
    let model = hotset_format::open(&dir).map_err(io::Error::other)?;
    let tokenizer = Tokenizer::new(&model.tokenizer).map_err(io::Error::other)?;
    Ok(Box::new(Text { tokenizer, vocab: model.config.vocab }))
}

impl Target for Text {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut out = String::new();
        for _ in 0..random.below(12) {
            let times = match random.below(40) {
                0 => random.below(20_000),
                1..8 => random.below(300),
                _ => 1,
            };
            let word = match once_in(random, 2) {
                true => (*pick(random, &WORDS)).to_owned(),
                false => text::any_char(random).to_string(),
            };
            out.push_str(&word.repeat(times));
        }
        if once_in(random, 2) {
            out = text::mutate(random, &out, &WORDS);
        }
        fs::write(place.join(NAME), out)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        let text = fs::read_to_string(place.join(NAME)).map_err(|e| e.to_string())?;
        for parse_special in [false, true] {
            let ids = match self.tokenizer.encode(&text, parse_special) {
                Ok(ids) => ids,
                Err(error) => return Ok(Outcome::here::<()>(Err(error.to_string()))),
            };
            if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab) {
                return Err(format!("token {id} of {}", self.vocab));
            }
            let back: Vec<u8> = ids.iter().flat_map(|&id| self.tokenizer.token_bytes(id)).copied().collect();
            // The normal form changes other characters, and may change their order.
            if text.is_ascii() && back != text.as_bytes() {
                return Err("the tokens are another text".to_owned());
            }
        }
        Ok(Outcome::here(Ok(())))
    }
}
