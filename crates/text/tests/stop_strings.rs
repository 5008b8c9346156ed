//! Stop strings: an answer is cut before the first of them, whatever pieces it comes in.

mod common;

use common::tokenizer;
use hotset_base::limits::{MAX_STOP_BYTES, MAX_STOP_STRINGS};
use hotset_text::{StopError, StopStrings};
use proptest::prelude::*;

fn stops(texts: &[&str]) -> StopStrings {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    StopStrings::new(&texts, tokenizer()).unwrap()
}

/// What each piece lets out, and which stop string ended the answer.
fn shown(stops: &mut StopStrings, pieces: &[&str]) -> (Vec<String>, Option<usize>) {
    let mut out = Vec::new();
    for piece in pieces {
        let (text, stopped) = stops.push(piece);
        out.push(text.to_owned());
        if stopped.is_some() {
            return (out, stopped);
        }
    }
    out.push(stops.finish().to_owned());
    (out, None)
}

#[test]
fn what_may_begin_a_stop_string_is_held_back() {
    let stops = &mut stops(&["User:", "é!"]);
    assert_eq!(shown(stops, &["a", "b"]), (vec!["a".into(), "b".into(), "".into()], None));
    assert_eq!(
        shown(stops, &["a U", "se", "d"]),
        (vec!["a ".into(), "".into(), "Used".into(), "".into()], None)
    );
    assert_eq!(shown(stops, &["a U", "ser", ":x"]), (vec!["a ".into(), "".into(), "".into()], Some(0)));
    assert_eq!(shown(stops, &["UUser: é!"]), (vec!["U".into()], Some(0)));
    assert_eq!(shown(stops, &["x é", "!"]), (vec!["x ".into(), "".into()], Some(1)));
    assert_eq!(shown(stops, &["x Us"]), (vec!["x ".into(), "Us".into()], None));
    // Nothing is left of the answer before.
    assert_eq!(shown(stops, &["er:"]), (vec!["er:".into(), "".into()], None));
}

#[test]
fn a_control_token_is_a_stop_string_by_itself() {
    let stops = stops(&["x", "<|im_end|>"]);
    assert_eq!(stops.token(tokenizer().special_id("<|im_end|>").unwrap()), Some(1));
    assert_eq!(stops.token(tokenizer().special_id("<|im_start|>").unwrap()), None);
}

#[test]
fn limits_hold() {
    let new = |count: usize, bytes| StopStrings::new(&vec!["x".repeat(bytes); count], tokenizer());
    assert!(new(MAX_STOP_STRINGS, MAX_STOP_BYTES).is_ok());
    assert_eq!(new(1, 0).err(), Some(StopError::Empty));
    assert!(matches!(new(MAX_STOP_STRINGS + 1, 1), Err(StopError::TooMany { .. })));
    assert!(matches!(new(1, MAX_STOP_BYTES + 1), Err(StopError::TooLong { .. })));
}

proptest! {
    #[test]
    fn the_answer_is_what_comes_before(
        pieces in prop::collection::vec("[abü]{0,3}", 0..30),
        texts in prop::collection::vec("[abü]{1,4}", 0..4),
    ) {
        let mut stops = stops(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let (out, stopped) = shown(&mut stops, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
        let whole = pieces.concat();
        let out = out.concat();
        prop_assert!(whole.starts_with(&out));
        match stopped {
            Some(which) => prop_assert!(whole[out.len()..].starts_with(&texts[which])),
            None => prop_assert!(out == whole && !texts.iter().any(|text| whole.contains(text))),
        }
        prop_assert!(!texts.iter().any(|text| out.contains(text)));
    }
}
