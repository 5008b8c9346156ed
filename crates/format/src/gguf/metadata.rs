//! Key-value pairs. Numbers are kept, strings and arrays only where somebody reads them.

use std::collections::HashMap;
use std::path::Path;

use hotset_base::limits;

use super::cursor::Cursor;
use super::keys::{
    ARCHITECTURE_KEY, HIDDEN_ACT_KEY, MERGES, MODEL_KEY, NAME_KEY, PRE_KEY, SCALING_KEY, STOP_IDS,
    TEMPLATE_KEY, TOKEN_TYPES, TOKENS, TYPE_KEY,
};
use crate::FormatError;
use crate::vocabulary::count_token;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<i32>),
    /// A string or an array nobody reads: checked and passed over.
    Skipped,
}

const MOST_STOP_IDS: usize = 1 << 10;

/// Strings that are read. Others may be as long as the file, and there may be many.
const TEXTS: [&str; 8] =
    [ARCHITECTURE_KEY, NAME_KEY, TYPE_KEY, SCALING_KEY, HIDDEN_ACT_KEY, MODEL_KEY, PRE_KEY, TEMPLATE_KEY];

const STRING: u32 = 8;
const ARRAY: u32 = 9;
const UINT32: u32 = 4;
const INT32: u32 = 5;

/// All pairs of a model.
#[derive(Default)]
pub(super) struct Metadata(HashMap<String, Value>);

/// Bytes of a fixed-size value type (`gguf_metadata_value_type`).
fn fixed_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

impl Metadata {
    /// Reads `count` pairs.
    pub fn read(cursor: &mut Cursor<'_>, count: u64) -> Result<Self, FormatError> {
        let mut pairs = HashMap::new();
        for _ in 0..count {
            let key = cursor.string("a metadata key", limits::MAX_NAME_BYTES)?;
            let kind = cursor.u32()?;
            let value = read_value(cursor, &key, kind)?;
            if pairs.contains_key(&key) {
                return Err(cursor
                    .error(format_args!("the key `{}` is there twice", crate::printable::printable(&key))));
            }
            pairs.insert(key, value);
        }
        Ok(Self(pairs))
    }

    fn wrong(path: &Path, key: &str, wanted: &str) -> FormatError {
        FormatError::malformed(path, format!("metadata key `{key}` is not {wanted}"))
    }

    /// A string, if the key is there.
    pub fn text(&self, path: &Path, key: &str) -> Result<Option<&str>, FormatError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Self::wrong(path, key, "a string")),
        }
    }

    /// A whole number that is not negative, if the key is there.
    pub fn number(&self, path: &Path, key: &str) -> Result<Option<u64>, FormatError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(n)) => Ok(Some(*n)),
            Some(Value::Signed(n)) if *n >= 0 => Ok(Some(*n as u64)),
            Some(_) => Err(Self::wrong(path, key, "a whole number of zero or more")),
        }
    }

    /// The same where anything else counts as nothing.
    pub fn whole(&self, key: &str) -> Option<u64> {
        self.number(Path::new(key), key).ok().flatten()
    }

    /// A number, if the key is there.
    pub fn float(&self, path: &Path, key: &str) -> Result<Option<f64>, FormatError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Float(x)) => Ok(Some(*x)),
            Some(_) => Err(Self::wrong(path, key, "a floating-point number")),
        }
    }

    /// Whether the key is there, whatever it holds.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// A truth value, if the key is there.
    pub fn flag(&self, path: &Path, key: &str) -> Result<Option<bool>, FormatError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(Self::wrong(path, key, "true or false")),
        }
    }

    /// Keys that begin with `architecture` and a dot, without that, and what they hold; in no order.
    pub fn of<'m>(&'m self, architecture: &'m str) -> impl Iterator<Item = (&'m str, &'m Value)> {
        let rest = move |key: &'m str| key.strip_prefix(architecture)?.strip_prefix('.');
        self.0.iter().filter_map(move |(key, value)| Some((rest(key)?, value)))
    }

    /// Takes an array of strings out.
    pub fn take_texts(&mut self, path: &Path, key: &str) -> Result<Vec<String>, FormatError> {
        match self.0.remove(key) {
            Some(Value::Texts(texts)) => Ok(texts),
            Some(_) => Err(Self::wrong(path, key, "an array of strings")),
            None => Err(FormatError::malformed(path, format!("metadata key `{key}` is missing"))),
        }
    }

    /// Takes an array of 32-bit numbers out, if it is there.
    pub fn take_numbers(&mut self, path: &Path, key: &str) -> Result<Option<Vec<i32>>, FormatError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(Self::wrong(path, key, "an array of 32-bit numbers")),
        }
    }
}

fn read_value(cursor: &mut Cursor<'_>, key: &str, kind: u32) -> Result<Value, FormatError> {
    Ok(match kind {
        0 => Value::Unsigned(u64::from(cursor.u8()?)),
        1 => Value::Signed(i64::from(cursor.u8()? as i8)),
        2 => Value::Unsigned(u64::from(cursor.u16()?)),
        3 => Value::Signed(i64::from(cursor.u16()? as i16)),
        4 => Value::Unsigned(u64::from(cursor.u32()?)),
        5 => Value::Signed(i64::from(cursor.u32()? as i32)),
        6 => Value::Float(f64::from(f32::from_bits(cursor.u32()?))),
        7 => Value::Bool(cursor.u8()? != 0),
        STRING if TEXTS.contains(&key) => {
            Value::Text(cursor.string("a metadata value", limits::MAX_TEMPLATE.index())?)
        }
        STRING => {
            let length = cursor.u64()?;
            cursor.skip("a metadata value", length, 1)?;
            Value::Skipped
        }
        ARRAY => read_array(cursor, key)?,
        10 => Value::Unsigned(cursor.u64()?),
        11 => Value::Signed(cursor.u64()? as i64),
        12 => Value::Float(f64::from_bits(cursor.u64()?)),
        other => return Err(cursor.error(format_args!("unknown metadata value type {other}"))),
    })
}

fn read_array(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, FormatError> {
    let (kind, count) = (cursor.u32()?, cursor.u64()?);
    match (key, kind) {
        (TOKENS | MERGES, STRING) => {
            let limit = if key == TOKENS { limits::MAX_VOCAB } else { 2 * limits::MAX_VOCAB };
            check_count(cursor, count, 8, limit)?;
            let mut total = 0;
            let texts = (0..count).map(|_| {
                let text = cursor.string("a token", limits::MAX_TOKEN_BYTES)?;
                count_token(Path::new(key), &text, &mut total)?;
                Ok(text)
            });
            Ok(Value::Texts(texts.collect::<Result<_, FormatError>>()?))
        }
        (STOP_IDS, INT32 | UINT32) => {
            check_count(cursor, count, 4, MOST_STOP_IDS)?;
            Ok(Value::Numbers(
                (0..count).map(|_| Ok(cursor.u32()? as i32)).collect::<Result<_, FormatError>>()?,
            ))
        }
        (TOKEN_TYPES, INT32) => {
            check_count(cursor, count, 4, limits::MAX_VOCAB)?;
            Ok(Value::Numbers(
                (0..count).map(|_| Ok(cursor.u32()? as i32)).collect::<Result<_, FormatError>>()?,
            ))
        }
        _ => {
            skip_array(cursor, kind, count, 1)?;
            Ok(Value::Skipped)
        }
    }
}

fn check_count(cursor: &Cursor<'_>, count: u64, each: u64, limit: usize) -> Result<(), FormatError> {
    cursor.check_room("an array", count, each)?;
    if count > limit as u64 {
        return Err(cursor.error(format_args!("an array of {count} is longer than the limit of {limit}")));
    }
    Ok(())
}

fn skip_array(cursor: &mut Cursor<'_>, kind: u32, count: u64, depth: usize) -> Result<(), FormatError> {
    if let Some(size) = fixed_size(kind) {
        return cursor.skip("an array", count, size);
    }
    if depth > limits::MAX_ARRAY_DEPTH {
        let deepest = limits::MAX_ARRAY_DEPTH;
        return Err(cursor.error(format_args!("arrays are nested more than {deepest} deep")));
    }
    match kind {
        STRING => {
            check_count(cursor, count, 8, limits::MAX_VOCAB)?;
            for _ in 0..count {
                let length = cursor.u64()?;
                cursor.skip("a string", length, 1)?;
            }
        }
        ARRAY => {
            check_count(cursor, count, 12, limits::MAX_VOCAB)?;
            for _ in 0..count {
                let (kind, count) = (cursor.u32()?, cursor.u64()?);
                skip_array(cursor, kind, count, depth + 1)?;
            }
        }
        other => return Err(cursor.error(format_args!("unknown metadata value type {other}"))),
    }
    Ok(())
}
