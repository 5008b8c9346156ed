//! HTML escapes: `escape`, `Markup`, `striptags`.

use crate::jinja::buffer::Buffer;
use crate::jinja::fault::Result;
use crate::jinja::meter::Meter;
use crate::jinja::strings::is_space;

/// `text` with `&`, `<`, `>` and quotes written as HTML entities.
pub(crate) fn escaped(meter: &Meter, text: &str) -> Result<String> {
    let mut out = Buffer::new(meter)?;
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.push(&rest[..at])?;
        out.push(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&#34;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    out.push(rest)?;
    Ok(out.into_string())
}

/// `text` without comments and tags, its spaces single, its entities decoded (those that
/// [`escaped`] writes, numbers, and `&nbsp;`).
pub(crate) fn without_tags(meter: &Meter, text: &str) -> Result<String> {
    let text = without(meter, text, "<!--", "-->")?;
    let text = without(meter, &text, "<", ">")?;
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    Ok(unescaped(&words.join(" ")))
}

fn without(meter: &Meter, text: &str, open: &str, close: &str) -> Result<String> {
    let mut out = Buffer::new(meter)?;
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let Some(end) = rest[start..].find(close) else { break };
        out.push(&rest[..start])?;
        rest = &rest[start + end + close.len()..];
    }
    out.push(rest)?;
    Ok(out.into_string())
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').filter(|end| *end <= 10).map(|end| &rest[1..end]);
        match entity.and_then(|entity| Some((decoded(entity)?, entity.len() + 2))) {
            Some((character, len)) => {
                out.push(character);
                rest = &rest[len..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn decoded(entity: &str) -> Option<char> {
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}
