//! A vocabulary of made-up words: consonant-vowel syllables that byte-pair merging finds again, so
//! that text and tokens go into each other.

use hotset_format::{AddedToken, TokenizerSpec};

/// Qwen3's control tokens, in their order; the tool and thinking tags are not control tokens.
const ADDED: [&str; 26] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];
const STOP: [usize; 2] = [0, 2];
const CONSONANTS: &str = "bcdfghjklmnpqrstvwxyz";
const VOWELS: &str = "aeiou";
/// Unused rows at the end, as the real model has.
const MOST_UNUSED: usize = 267;
const BYTES: usize = 256;

/// The chat template: ChatML.
pub(super) const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Where the kinds of token lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds {
    /// The first word; bytes and syllables are before it.
    pub first_word: usize,
    /// The first control token: one past the last word.
    pub first_added: usize,
    /// The first unused row.
    pub first_unused: usize,
}

impl Kinds {
    /// Of a vocabulary with `rows` rows.
    pub fn of(rows: usize) -> Self {
        let syllables = CONSONANTS.len() * VOWELS.len();
        let first_unused = rows - MOST_UNUSED.min(rows / 64);
        Self { first_word: BYTES + 2 * syllables, first_added: first_unused - ADDED.len(), first_unused }
    }
}

/// The vocabulary with `rows` rows of the embedding.
pub(super) fn vocabulary(rows: usize) -> TokenizerSpec {
    let kinds = Kinds::of(rows);
    let mut spec = TokenizerSpec { vocab: bytes(), ..TokenizerSpec::default() };
    let consonants: Vec<u32> = CONSONANTS.bytes().map(id_of_letter).collect();
    let vowels: Vec<u32> = VOWELS.bytes().map(id_of_letter).collect();
    let mut push = |left: u32, right: u32| {
        if spec.vocab.len() < kinds.first_added {
            spec.merges.push((left, right));
            spec.vocab.push(format!("{}{}", spec.vocab[left as usize], spec.vocab[right as usize]));
        }
    };
    for &consonant in &consonants {
        vowels.iter().for_each(|&vowel| push(consonant, vowel));
    }
    let syllables = BYTES..BYTES + consonants.len() * vowels.len();
    let space = id_of_space();
    syllables.clone().for_each(|syllable| push(space, syllable as u32));
    // Words of one syllable less, in order, each with every syllable after it.
    let mut shorter = syllables.end..syllables.end + syllables.len();
    while shorter.start < kinds.first_added && shorter.len() < kinds.first_added {
        for word in shorter.clone() {
            syllables.clone().for_each(|syllable| push(word as u32, syllable as u32));
        }
        shorter = shorter.end..shorter.end + shorter.len() * syllables.len();
    }
    spec.vocab.resize(rows, String::new());
    spec.added = ADDED
        .iter()
        .enumerate()
        .map(|(i, name)| AddedToken {
            id: (kinds.first_added + i) as u32,
            content: (*name).to_owned(),
            special: name.starts_with("<|"),
        })
        .collect();
    spec.stop = STOP.iter().map(|i| (kinds.first_added + i) as u32).collect();
    spec
}

/// The 256 bytes in the byte-level alphabet of GPT-2: printable ones stand for themselves and come
/// first.
fn bytes() -> Vec<String> {
    let printable = |b: &u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let own = (0..256).filter(printable);
    let stand_ins = (0..256).filter(|b| !printable(b)).zip(256..).map(|(_, code)| code);
    own.chain(stand_ins).filter_map(char::from_u32).map(String::from).collect()
}

fn id_of_letter(letter: u8) -> u32 {
    u32::from(letter - b'!')
}

/// The space is the 33rd of the bytes that are not printable.
fn id_of_space() -> u32 {
    const PRINTABLE: u32 = 188;
    PRINTABLE + 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_size_has_the_real_places() {
        let spec = vocabulary(151_936);
        let kinds = Kinds::of(151_936);
        assert_eq!((kinds.first_added, kinds.first_unused), (151_643, 151_669));
        assert_eq!(spec.vocab.len(), 151_936);
        assert_eq!(spec.added[2].content, "<|im_end|>");
        assert_eq!(spec.stop, [151_643, 151_645]);
        assert!(spec.vocab[..kinds.first_added].iter().all(|text| !text.is_empty()));
        assert_eq!(spec.vocab[kinds.first_word], "\u{120}baba");
        assert_eq!(spec.merges.len(), kinds.first_added - 256);
    }
}
