//! Reading a ledger whole, and replacing it whole.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use hotset_outputs::{LEDGER_MAGIC, OutputError, PartialFile, Target};

use crate::header::{HEADER, Header};
use crate::{LedgerError, Snapshot};

/// Reads and checks a ledger; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read, is no ledger, of another version, or not whole.
pub fn load(path: &Path) -> Result<Option<Snapshot>, LedgerError> {
    let mut file = match hotset_inputs::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if hotset_inputs::is_refusal(&error) => {
            return Err(LedgerError::NotALedger(path.to_owned()));
        }
        Err(error) => return Err(LedgerError::io("open", path)(error)),
    };
    let bytes = file.metadata().map_err(LedgerError::io("read the length of", path))?.len();
    let damaged = |detail: String| LedgerError::Damaged { path: path.to_owned(), detail };
    let mut header = [0; HEADER];
    let there = HEADER.min(bytes as usize);
    file.read_exact(&mut header[..there]).map_err(LedgerError::io("read", path))?;
    if there < HEADER && header.starts_with(&LEDGER_MAGIC) {
        return Err(damaged(format!("{bytes} bytes, less than the {HEADER} of a header")));
    }
    let header = Header::parse(path, &header)?;
    let expected = HEADER as u64 + header.body_bytes();
    if bytes != expected {
        return Err(damaged(format!(
            "{bytes} bytes, its tables need {expected}: it is truncated or too long"
        )));
    }
    let mut body = vec![0; header.body_bytes() as usize];
    file.read_exact(&mut body).map_err(LedgerError::io("read", path))?;
    Snapshot::parse_body(path, &header, &body).map(Some)
}

/// Replaces the ledger: whenever the program or the machine stops, the old one or the new one is there.
///
/// # Errors
/// If it cannot be written, or another program is writing it; the old one then is as it was.
pub fn save(file: PartialFile, snapshot: &Snapshot) -> Result<(), LedgerError> {
    finish(file, &snapshot.to_bytes()).map_err(LedgerError::Save)
}

pub(crate) fn replace(target: &Arc<Target>, bytes: &[u8]) -> Result<(), OutputError> {
    finish(target.create()?, bytes)
}

fn finish(file: PartialFile, bytes: &[u8]) -> Result<(), OutputError> {
    file.write_at(bytes, 0)?;
    file.commit()
}
