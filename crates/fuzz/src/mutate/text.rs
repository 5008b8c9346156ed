//! Changes of text, in whole characters.

use hotset_testkit::Random;

use super::{extreme_number, once_in, pick};

/// Longest stretch that is moved or doubled, in characters.
const STRETCH: usize = 80;

/// One to four changes; `words` are what may be put in.
pub fn mutate(random: &mut Random, text: &str, words: &[&str]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(4) {
        change(random, &mut chars, words);
    }
    chars.into_iter().collect()
}

fn change(random: &mut Random, chars: &mut Vec<char>, words: &[&str]) {
    let at = random.below(chars.len() + 1);
    let end = (at + 1 + random.below(STRETCH)).min(chars.len());
    match random.below(8) {
        0 => drop(chars.drain(at..end)),
        1 => {
            let copy = chars[at..end].to_vec();
            let to = random.below(chars.len() + 1);
            chars.splice(to..to, copy);
        }
        2 => drop(chars.splice(at..at, std::iter::once(any_char(random)))),
        3 if once_in(random, 8) => {
            let (one, times) = (any_char(random), 1 << random.below(15));
            chars.splice(at..at, std::iter::repeat_n(one, times));
        }
        4 => change_number(random, chars, at),
        5 if once_in(random, 4) => chars.truncate(at),
        _ if !words.is_empty() => drop(chars.splice(at..at, pick(random, words).chars())),
        _ => drop(chars.drain(at..end.min(at + 1))),
    }
}

/// Another number in the place of the next one.
fn change_number(random: &mut Random, chars: &mut Vec<char>, from: usize) {
    let Some(start) = (from..chars.len()).find(|&i| chars[i].is_ascii_digit()) else { return };
    let length = chars[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    let number = match random.below(6) {
        0 => "-1".to_owned(),
        1 => (*pick(random, &["nan", "inf", "1e400", "0.5", "", "99999999999999999999999"])).to_owned(),
        _ => extreme_number(random).to_string(),
    };
    chars.splice(start..start + length, number.chars());
}

/// Any character: of ASCII, white space, letters with marks, other scripts, emoji, the unassigned.
pub fn any_char(random: &mut Random) -> char {
    const ODD: [char; 16] = [
        '\0',
        '\n',
        '\r',
        '\t',
        '\u{1b}',
        '\u{85}',
        '\u{a0}',
        '\u{301}',
        '\u{200d}',
        '\u{202e}',
        '\u{2028}',
        '\u{3000}',
        '\u{feff}',
        '\u{fffd}',
        '\u{1f980}',
        '\u{10ffff}',
    ];
    match random.below(4) {
        0 => *pick(random, &ODD),
        1 => char::from_u32(random.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
        _ => char::from(b' ' + random.below(95) as u8),
    }
}
