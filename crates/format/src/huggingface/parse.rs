//! A JSON file of a checkpoint, and what to say of one that is none.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{FormatError, stand_in};

/// The file's content as a `T`.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|error| not_json(path, bytes, &error))
}

/// Says what a file is that is not the JSON it should be.
pub(super) fn not_json(path: &Path, bytes: &[u8], error: &serde_json::Error) -> FormatError {
    let what = match stand_in::known(bytes) {
        Some(what) => what.to_owned(),
        None if error.is_eof() => {
            format!("ends in the middle ({error}): its download did not finish; get it again")
        }
        None => {
            let field = field_before(bytes, error).map_or_else(String::new, |field| format!("`{field}`: "));
            format!("not usable JSON: {field}{}", crate::printable::one_line(&error.to_string()))
        }
    };
    FormatError::malformed(path, what)
}

/// The field whose value an error is about, where that is the last one named before it on its line.
fn field_before(bytes: &[u8], error: &serde_json::Error) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().checked_sub(1)?)?;
    let before = &line[..error.column().min(line.len())];
    let colon = before.iter().rposition(|byte| *byte == b':')?;
    let name = before[..colon].trim_ascii_end().strip_suffix(b"\"")?;
    let start = name.iter().rposition(|byte| *byte == b'"')?;
    error.is_data().then(|| crate::printable::printable(&String::from_utf8_lossy(&name[start + 1..])))
}
