//! The slow twin: the tokenizers library, which holds the whole text, and our encoder give the same ids for
//! every text, in one piece or in many.

mod common;

use std::ops::ControlFlow;
use std::sync::LazyLock;

use common::{spec, tokenizer};
use hotset_format::TokenizerSpec;
use hotset_text::{QWEN2_PATTERN, Tokenizer, TokenizerError};
use proptest::prelude::*;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    SplitDelimiterBehavior,
};

/// The reference for texts without added tokens.
struct Twin {
    pattern: Split,
    model: BPE,
    composes: bool,
}

impl Twin {
    fn new(spec: &TokenizerSpec) -> Self {
        let texts = spec.vocab.iter().zip(0u32..).filter(|(text, _)| !text.is_empty());
        let vocab: Vocab = texts.map(|(text, id)| (text.clone(), id)).collect();
        let text = |id: u32| spec.vocab[id as usize].clone();
        let merges = spec.merges.iter().map(|&(left, right)| (text(left), text(right))).collect();
        let pattern = SplitPattern::Regex(QWEN2_PATTERN.to_owned());
        Self {
            pattern: Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap(),
            model: BPE::builder().vocab_and_merges(vocab, merges).build().unwrap(),
            composes: !spec.uncomposed,
        }
    }

    fn words(&self, text: &str) -> PreTokenizedString {
        let mut text = NormalizedString::from(text);
        if self.composes {
            NFC.normalize(&mut text).unwrap();
        }
        let mut words = PreTokenizedString::from(text);
        self.pattern.pre_tokenize(&mut words).unwrap();
        ByteLevel::new(false, false, false).pre_tokenize(&mut words).unwrap();
        words
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        let words = self.words(text);
        let words = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
        words
            .iter()
            .flat_map(|(word, _, _)| self.model.tokenize(word).unwrap())
            .map(|token| token.id)
            .collect()
    }
}

/// The ids of a text that comes in pieces of `size` characters.
fn in_pieces(tokenizer: &Tokenizer, text: &str, size: usize) -> Vec<u32> {
    let (mut ids, mut encoder) = (Vec::new(), tokenizer.encoder(false));
    let mut take = |id| {
        ids.push(id);
        ControlFlow::Continue(())
    };
    let characters: Vec<char> = text.chars().collect();
    for piece in characters.chunks(size) {
        let _ = encoder.push(&piece.iter().collect::<String>(), &mut take).unwrap();
    }
    let _ = encoder.finish(&mut take).unwrap();
    ids
}

#[test]
fn every_character_is_of_the_class_the_library_has_it_in() {
    let twin = Twin::new(&spec());
    // What goes with letters, spaces, marks and line breaks around it tells a character's class.
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for some in all.chunks(64) {
        let text: String =
            some.iter().flat_map(|c| [*c, 'a', ' ', *c, *c, '\'', *c, '\n', *c, '1']).collect();
        assert_eq!(tokenizer().encode(&text, false).unwrap(), twin.encode(&text), "{some:?}");
    }
}

#[test]
fn words_of_any_length_are_merged_as_a_whole() {
    let (twin, tokenizer) = (Twin::new(&spec()), tokenizer());
    let units = [
        "a",
        " ",
        "1",
        "-",
        "\n",
        "\t ",
        "e\u{301}",
        "\u{301}",
        "\u{308}\u{323}",
        "привет",
        "кошка ",
        "낡은시계",
        "한 글",
        "ساعة",
        "ふるい",
        "पुरानी",
        "นาฬิกา",
        "ρολόι",
        "🙂",
        "👩‍👩‍👧‍👦",
        "the",
        "theatre",
        "=-",
        "'s",
        "\r\n",
        "\n ",
        "ſ'",
        "\u{1100}\u{1161}\u{11A8}",
        "ﬁ",
        "straße",
        "0123456789",
        "老钟敲了",
    ];
    for unit in units {
        for bytes in [16 << 10, 40_000, 90_001] {
            let text = unit.repeat(bytes / unit.len() + 1);
            for text in [text.clone(), format!("x\n{text}"), format!("{text}\n"), format!("{text}é\u{301}x")]
            {
                assert_eq!(tokenizer.encode(&text, false).unwrap(), twin.encode(&text), "{unit:?} {bytes}");
            }
        }
    }
}

/// A vocabulary of the 256 bytes and random merges of the letters a to d and what came of them.
fn random_merges(choices: &[(usize, usize)]) -> TokenizerSpec {
    let bytes = spec().vocab.into_iter().filter(|text| text.chars().count() == 1);
    let mut spec = TokenizerSpec { vocab: bytes.collect(), ..TokenizerSpec::default() };
    let place = |letter: &str| spec.vocab.iter().position(|text| text == letter).unwrap() as u32;
    let mut parts: Vec<u32> = ["a", "b", "c", "d"].map(place).to_vec();
    for &(left, right) in choices {
        let pair = (parts[left % parts.len()], parts[right % parts.len()]);
        let joined = format!("{}{}", spec.vocab[pair.0 as usize], spec.vocab[pair.1 as usize]);
        if joined.len() > 200 || spec.merges.contains(&pair) {
            continue;
        }
        spec.merges.push(pair);
        if !spec.vocab.contains(&joined) {
            parts.push(spec.vocab.len() as u32);
            spec.vocab.push(joined);
        }
    }
    spec
}

static COMPOSED_AND_NOT: LazyLock<[(Tokenizer, Twin); 2]> = LazyLock::new(|| {
    [false, true].map(|uncomposed| {
        let spec = TokenizerSpec { uncomposed, ..spec() };
        (Tokenizer::new(&spec).unwrap(), Twin::new(&spec))
    })
});

/// Characters of every class, and those that normalising, contractions and spaces hang on.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => prop::sample::select("abst mdrevlLEVTſ'’\"!-_  \t\r\n\u{A0}\u{85}\u{3000}\u{200B}01٣½Ⅷ".chars().collect::<Vec<_>>()),
        2 => prop::sample::select("\u{300}\u{301}\u{308}\u{323}\u{327}\u{345}\u{5B0}\u{94D}\u{3099}\u{1D165}\u{302}eaouEAçé가\u{1100}\u{1161}\u{11A8}\u{D55C}か\u{958}\u{1D15E}\u{212B}\u{2126}\u{9C7}\u{9BE}".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
        1 => prop::char::range('\u{400}', '\u{1FFF}'),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn ids_are_those_of_the_library(characters in prop::collection::vec(character(), 0..60), size in 1usize..9) {
        let text: String = characters.into_iter().collect();
        for (tokenizer, twin) in &*COMPOSED_AND_NOT {
            prop_assert_eq!(in_pieces(tokenizer, &text, size), twin.encode(&text));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn long_words_of_any_vocabulary_are_right(
        choices in prop::collection::vec((0usize..500, 0usize..500), 1..300),
        unit in prop::collection::vec(prop::sample::select(vec!['a', 'b', 'c', 'd']), 1..3000),
        bytes in 10_000usize..80_000,
    ) {
        let spec = random_merges(&choices);
        let tokenizer = Tokenizer::new(&spec).unwrap();
        let text: String = unit.iter().cycle().take(bytes).collect();
        match tokenizer.encode(&text, false) {
            Ok(ids) => prop_assert_eq!(ids, Twin::new(&spec).encode(&text)),
            Err(error) => prop_assert!(matches!(error, TokenizerError::Uncuttable { .. }), "{error}"),
        }
    }
}
