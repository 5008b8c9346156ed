//! A template's source as tokens, by Jinja2's rules with `trim_blocks` and `lstrip_blocks`.

use crate::jinja::strings::is_space;
use crate::jinja::syntax::SyntaxError;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Operator(&'static str),
    End,
}

/// Longest first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",", ";",
];

type Result<T> = std::result::Result<T, SyntaxError>;

/// All tokens with the line each begins on; the last one is [`Token::End`].
pub(crate) fn tokenize(source: &str) -> Result<Vec<(Token, usize)>> {
    let mut source = normalize_newlines(source);
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer { source: &source, at: 0, line: 1, line_starting: true, tokens: Vec::new() };
    while lexer.at < source.len() {
        lexer.data()?;
    }
    lexer.push(Token::End);
    Ok(lexer.tokens)
}

/// Every line break is a line feed.
fn normalize_newlines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: usize,
    /// Whether what was read last ended a line.
    line_starting: bool,
    tokens: Vec<(Token, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Variable,
    Block,
    Comment,
    Raw,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn fail<T>(&self, detail: impl Into<String>) -> Result<T> {
        Err(SyntaxError { line: self.line, detail: detail.into() })
    }

    /// Goes on by `bytes`, which end a match.
    fn advance(&mut self, bytes: usize) {
        let passed = &self.rest()[..bytes];
        self.line += passed.matches('\n').count();
        self.line_starting = passed.ends_with('\n');
        self.at += bytes;
    }

    /// Text up to the next tag, and that tag.
    fn data(&mut self) -> Result<()> {
        let rest = self.rest();
        let mut from = 0;
        let opening = loop {
            let Some(brace) = rest[from..].find('{') else { break None };
            let at = from + brace;
            let tag = match rest.as_bytes().get(at + 1) {
                Some(b'{') => Tag::Variable,
                Some(b'%') => Tag::Block,
                Some(b'#') => Tag::Comment,
                _ => {
                    from = at + 1;
                    continue;
                }
            };
            break Some((at, tag));
        };
        let Some((at, tag)) = opening else {
            self.push(Token::Data(rest.to_owned()));
            self.advance(rest.len());
            return Ok(());
        };
        let raw = (tag == Tag::Block).then(|| raw_begin(&rest[at..])).flatten();
        let sign = sign(&rest[at + 2..]);
        let text = self.stripped(&rest[..at], sign, tag == Tag::Variable);
        if !text.is_empty() {
            self.push(Token::Data(text.to_owned()));
        }
        self.advance(at + raw.unwrap_or(2 + sign.map_or(0, |_| 1)));
        match if raw.is_some() { Tag::Raw } else { tag } {
            Tag::Variable => self.expression(Token::VariableBegin, Token::VariableEnd),
            Tag::Block => self.expression(Token::BlockBegin, Token::BlockEnd),
            Tag::Comment => self.comment(),
            Tag::Raw => self.raw(),
        }
    }

    /// `text` before a tag that begins with `sign`.
    fn stripped<'t>(&self, text: &'t str, sign: Option<u8>, variable: bool) -> &'t str {
        match sign {
            Some(b'-') => text.trim_end_matches(is_space),
            Some(_) => text,
            None if variable => text,
            None => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let blank = line < text.len() && text[line..].chars().all(is_space);
                if blank && (line > 0 || self.line_starting) { &text[..line] } else { text }
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        if self.rest().is_empty() {
            return Ok(()); // as Jinja2: only what follows an open tag is missed
        }
        let Some(at) = self.rest().find("#}") else { return self.fail("Missing end of comment tag") };
        let end = self.end_of_tag(at, "#}", true);
        self.advance(end);
        Ok(())
    }

    fn raw(&mut self) -> Result<()> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(());
        }
        for (at, _) in rest.match_indices("{%") {
            let sign = sign(&rest[at + 2..]);
            let word = rest[at + 2 + sign.map_or(0, |_| 1)..].trim_start_matches(is_space);
            let Some(after) = word.strip_prefix("endraw") else { continue };
            let after = after.trim_start_matches(is_space);
            let close = after.trim_start_matches(['-', '+']);
            if !close.starts_with("%}") || after.len() - close.len() > 1 {
                continue;
            }
            let text = self.stripped(&rest[..at], sign, false);
            if !text.is_empty() {
                self.push(Token::Data(text.to_owned()));
            }
            let end = self.end_of_tag(rest.len() - close.len(), "%}", true);
            self.advance(end);
            return Ok(());
        }
        self.fail("Missing end of raw directive")
    }

    /// The end of a tag whose closing `word` is at `at` of the rest, with the space that goes with it.
    fn end_of_tag(&self, at: usize, word: &str, trim: bool) -> usize {
        let rest = self.rest();
        let end = at + word.len();
        let sign = if at > 0 { rest.as_bytes()[at - 1] } else { 0 };
        match sign {
            b'-' => rest.len() - rest[end..].trim_start_matches(is_space).len(),
            b'+' => end,
            _ => end + usize::from(trim && rest[end..].starts_with('\n')),
        }
    }

    /// The inside of a variable or block tag, to its end.
    fn expression(&mut self, begin: Token, end: Token) -> Result<()> {
        self.push(begin);
        let (close, block) = if end == Token::VariableEnd { ("}}", false) } else { ("%}", true) };
        let mut open: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(()); // the parser says what is missing
            }
            if open.is_empty() {
                let signed = rest.strip_prefix('-').or_else(|| rest.strip_prefix('+').filter(|_| block));
                let at = usize::from(signed.is_some_and(|rest| rest.starts_with(close)));
                if rest[at..].starts_with(close) {
                    let bytes = self.end_of_tag(at, close, block);
                    self.push(end);
                    self.advance(bytes);
                    return Ok(());
                }
            }
            self.item(&mut open)?;
        }
    }

    /// One token, or space, inside a tag.
    fn item(&mut self, open: &mut Vec<&'static str>) -> Result<()> {
        let rest = self.rest();
        let space = rest.len() - rest.trim_start_matches(is_space).len();
        if space > 0 {
            self.advance(space);
            return Ok(());
        }
        if let Some(bytes) = self.number()? {
            self.advance(bytes);
            return Ok(());
        }
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if word > 0 {
            let name = &rest[..word];
            if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                return self.fail("Invalid character in identifier");
            }
            self.push(Token::Name(name.to_owned()));
            self.advance(word);
            return Ok(());
        }
        if let Some(bytes) = string_len(rest) {
            let inner = &rest[1..bytes - 1];
            let text = unescape(inner).or_else(|detail| self.fail(detail))?;
            self.push(Token::Text(text));
            self.advance(bytes);
            return Ok(());
        }
        let Some(operator) = OPERATORS.into_iter().find(|operator| rest.starts_with(operator)) else {
            let character = rest.chars().next().unwrap_or_default();
            return self.fail(format!("unexpected char '{}' at {}", character.escape_debug(), self.at));
        };
        match operator {
            "{" => open.push("}"),
            "(" => open.push(")"),
            "[" => open.push("]"),
            "}" | ")" | "]" => match open.pop() {
                None => return self.fail(format!("unexpected '{operator}'")),
                Some(expected) if expected != operator => {
                    return self.fail(format!("unexpected '{operator}', expected '{expected}'"));
                }
                Some(_) => {}
            },
            _ => {}
        }
        self.push(Token::Operator(operator));
        self.advance(operator.len());
        Ok(())
    }

    /// The length of the number that begins here.
    fn number(&mut self) -> Result<Option<usize>> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let after_dot = self.at > 0 && self.source.as_bytes()[self.at - 1] == b'.';
        if let Some(bytes) = (!after_dot).then(|| float_len(rest)).flatten() {
            let number = rest[..bytes].replace('_', "").parse();
            let Ok(number) = number else { return self.fail("invalid number") };
            self.push(Token::Float(number));
            return Ok(Some(bytes));
        }
        let (bytes, radix) = integer_len(rest);
        let digits = rest[..bytes].replace('_', "").to_ascii_lowercase();
        let digits = digits.trim_start_matches(match radix {
            2 => "0b",
            8 => "0o",
            16 => "0x",
            _ => "",
        });
        match i64::from_str_radix(digits, radix) {
            Ok(number) => self.push(Token::Int(number)),
            Err(_) => return self.fail("integer has more than 63 bits"),
        }
        Ok(Some(bytes))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `-` or `+` behind the start of a tag.
fn sign(rest: &str) -> Option<u8> {
    rest.bytes().next().filter(|sign| matches!(sign, b'-' | b'+'))
}

/// The length of `{% raw %}`, with the space that its `-` takes.
fn raw_begin(tag: &str) -> Option<usize> {
    let inner = &tag[2 + sign(&tag[2..]).map_or(0, |_| 1)..];
    let after = inner.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    if let Some(after) = after.strip_prefix("-%}") {
        return Some(tag.len() - after.trim_start_matches(is_space).len());
    }
    Some(tag.len() - after.strip_prefix("%}")?.len())
}

/// Digits with single underscores between them.
fn digits_len(text: &str, digit: fn(&u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let mut len = 0;
    loop {
        match (bytes.get(len), bytes.get(len + 1)) {
            (Some(next), _) if digit(next) => len += 1,
            (Some(b'_'), Some(next)) if len > 0 && digit(next) => len += 2,
            _ => return len,
        }
    }
}

fn float_len(text: &str) -> Option<usize> {
    let decimal = |text| digits_len(text, u8::is_ascii_digit);
    let mut len = decimal(text);
    let mut float = false;
    if text[len..].starts_with('.') {
        let fraction = decimal(&text[len + 1..]);
        if fraction > 0 {
            len += 1 + fraction;
            float = true;
        }
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let exponent = decimal(&text[len + 1 + sign..]);
        if exponent > 0 {
            len += 1 + sign + exponent;
            float = true;
        }
    }
    float.then_some(len)
}

fn integer_len(text: &str) -> (usize, u32) {
    let prefixed = |digit: fn(&u8) -> bool| {
        let rest = &text[2..];
        let skip = usize::from(rest.starts_with('_'));
        let len = digits_len(&rest[skip..], digit);
        (len > 0).then_some(2 + skip + len)
    };
    let found = match text.as_bytes().get(1).map(u8::to_ascii_lowercase) {
        Some(b'b') if text.starts_with('0') => prefixed(|d| matches!(d, b'0' | b'1')).map(|len| (len, 2)),
        Some(b'o') if text.starts_with('0') => prefixed(|d| matches!(d, b'0'..=b'7')).map(|len| (len, 8)),
        Some(b'x') if text.starts_with('0') => prefixed(u8::is_ascii_hexdigit).map(|len| (len, 16)),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let zero = text.starts_with('0');
        (if zero { digits_len(text, |d| *d == b'0') } else { digits_len(text, u8::is_ascii_digit) }, 10)
    })
}

/// The length of the string literal that begins here, quotes included.
fn string_len(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next()?;
            }
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Python's escapes, as Jinja2 decodes them.
fn unescape(text: &str) -> std::result::Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let character = after.chars().next().unwrap_or('\\');
        let mut used = character.len_utf8().min(after.len());
        match character {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(character),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            '0'..='7' => {
                used = after.bytes().take(3).take_while(|d| matches!(d, b'0'..=b'7')).count();
                out.push(character_of(&after[..used], 8)?);
            }
            'x' | 'u' | 'U' => {
                let digits = match character {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let code = after.get(1..=digits).filter(|code| code.bytes().all(|d| d.is_ascii_hexdigit()));
                out.push(character_of(code.ok_or("truncated escape in a string")?, 16)?);
                used = 1 + digits;
            }
            'N' => return Err("\\N{...} is not supported in a string"),
            // Jinja2 decodes these by way of ASCII, and the backslash keeps the code from being read.
            other if !other.is_ascii() => {
                let code = u32::from(other);
                out.push('\\');
                out.push_str(&match code {
                    0..=0xff => format!("x{code:02x}"),
                    0x100..=0xffff => format!("u{code:04x}"),
                    _ => format!("U{code:08x}"),
                });
            }
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        rest = &after[used..];
    }
    out.push_str(rest);
    Ok(out)
}

fn character_of(digits: &str, radix: u32) -> std::result::Result<char, &'static str> {
    let code = u32::from_str_radix(digits, radix).map_err(|_| "truncated escape in a string")?;
    char::from_u32(code).ok_or("a string has an escape that is no character")
}
