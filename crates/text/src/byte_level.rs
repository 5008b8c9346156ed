//! The byte-level alphabet of GPT-2: every byte has a printable character, so that a vocabulary of
//! arbitrary bytes can be kept as text.
//!
//! Printable Latin-1 bytes stand for themselves; the other 68 take U+0100, U+0101, ... in order.

/// Highest character of the alphabet plus one: 256 and the 68 bytes without a printable form.
const ALPHABET_END: usize = 256 + 68;

const CHARS: [char; 256] = chars();
const BYTES: [Option<u8>; ALPHABET_END] = bytes();

const fn chars() -> [char; 256] {
    let mut table = ['\0'; 256];
    let (mut byte, mut moved) = (0, 256);
    while byte < 256 {
        let own = matches!(byte as u8, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if own { byte as u32 } else { moved };
        if !own {
            moved += 1;
        }
        table[byte] = match char::from_u32(code) {
            Some(c) => c,
            None => unreachable!(), // all codes are below U+0144
        };
        byte += 1;
    }
    table
}

const fn bytes() -> [Option<u8>; ALPHABET_END] {
    let mut table = [None; ALPHABET_END];
    let mut byte = 0;
    while byte < 256 {
        table[CHARS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    table
}

/// The character that stands for `byte`.
pub(crate) fn char_of(byte: u8) -> char {
    CHARS[usize::from(byte)]
}

/// Appends the bytes that `text` stands for. Text with a character outside the alphabet is taken
/// as it is, as the reference decoder does.
pub(crate) fn append_bytes(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    for c in text.chars() {
        match BYTES.get(c as usize).copied().flatten() {
            Some(byte) => out.push(byte),
            None => {
                out.truncate(start);
                out.extend_from_slice(text.as_bytes());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        for byte in 0..=255 {
            let mut out = Vec::new();
            append_bytes(&char_of(byte).to_string(), &mut out);
            assert_eq!(out, [byte]);
        }
        assert_eq!((char_of(b' '), char_of(b'\n'), char_of(0xAD)), ('Ġ', 'Ċ', 'Ń'));
    }

    #[test]
    fn foreign_text_is_kept() {
        let mut out = b"a".to_vec();
        append_bytes("Ġx語", &mut out);
        assert_eq!(out, "aĠx語".as_bytes());
    }
}
