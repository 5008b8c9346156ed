//! Python's classes and cases of characters, as far as they differ from Rust's.

/// `str.isspace` for one character: Unicode's white space and the four separators of ASCII.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// Where `splitlines` cuts.
pub(crate) fn is_line_break(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Letters, digits and the underscore: `\w`.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The title case of a character.
pub(crate) fn title_character(character: char) -> String {
    match character {
        '\u{1c4}'..='\u{1c6}' => "\u{1c5}".to_owned(),
        '\u{1c7}'..='\u{1c9}' => "\u{1c8}".to_owned(),
        '\u{1ca}'..='\u{1cc}' => "\u{1cb}".to_owned(),
        '\u{1f1}'..='\u{1f3}' => "\u{1f2}".to_owned(),
        _ => {
            let mut upper = character.to_uppercase();
            let Some(first) = upper.next() else { return String::new() };
            std::iter::once(first).chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// Whether the character has case.
pub(crate) fn is_cased(character: char) -> bool {
    character.is_lowercase() || character.is_uppercase() || is_title(character)
}

/// The digraphs that are neither upper nor lower case.
fn is_title(character: char) -> bool {
    matches!(character, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// `str.title`: a letter behind a letter is small.
pub(crate) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            out.extend(character.to_lowercase());
        } else {
            out.push_str(&title_character(character));
        }
        inside = is_cased(character);
    }
    out
}

/// `str.capitalize`.
pub(crate) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(title_character).unwrap_or_default();
    first + &characters.as_str().to_lowercase()
}

pub(crate) fn swap_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_uppercase() {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
    }
    out
}

/// `str.casefold`: the small form of the capital form.
pub(crate) fn case_fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{131}' | '\u{130}' => out.extend(character.to_lowercase()),
            _ => out.extend(character.to_uppercase().flat_map(char::to_lowercase)),
        }
    }
    out
}

/// `str.istitle`.
pub(crate) fn is_title_case(text: &str) -> bool {
    let (mut inside, mut any) = (false, false);
    for character in text.chars() {
        if character.is_uppercase() || is_title(character) {
            if inside {
                return false;
            }
            (inside, any) = (true, true);
        } else if character.is_lowercase() {
            if !inside {
                return false;
            }
        } else {
            inside = false;
        }
    }
    any
}

/// `str.islower`, `str.isupper`: there is case, and all of it is `wanted`.
pub(crate) fn all_cased(text: &str, wanted: fn(char) -> bool) -> bool {
    let mut cased = text.chars().filter(|c| is_cased(*c)).peekable();
    cased.peek().is_some() && cased.all(wanted)
}

/// `str.isdecimal` for one character: digits of any script.
pub(crate) fn is_decimal(character: char) -> bool {
    // Digits of a script are ten in a row; the standard library knows which are numeric.
    character.is_ascii_digit()
        || (character.is_numeric()
            && DECIMAL_ZEROS.iter().any(|zero| (*zero..*zero + 10).contains(&u32::from(character))))
}

/// `str.isdigit` for one character: decimal digits and those that are written high, low or in circles.
pub(crate) fn is_digit(character: char) -> bool {
    is_decimal(character)
        || matches!(
            character,
            '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}'
                | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}' | '\u{24ea}'
                | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}'
                | '\u{278a}'..='\u{2792}'
        )
}

/// The digit zero of each script whose digits are decimal (Unicode's general category Nd).
const DECIMAL_ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec,
    0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950,
];
