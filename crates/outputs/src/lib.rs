//! Files that commands write: judged before the work, complete under their name or not there.
//!
//! Owns the one place where the program opens a file to write: what may be replaced ([`Outputs`]), and
//! `TARGET.partial` with its lock and its mark until it gets its name ([`PartialFile`]). It must never
//! empty, replace or remove what hotset did not make, follow a link at a partial's name, or know more of
//! a format than its first bytes.
#![forbid(unsafe_code)]

mod error;
mod existing;
mod kind;
mod outputs;
mod partial;
mod target;
mod unfinished;

pub use error::OutputError;
pub use kind::{FileKind, LEDGER_MAGIC, PARTIAL_MARK, STORE_MAGIC, TRACE_MAGIC};
pub use outputs::{Force, Outputs, remove};
pub use partial::PartialFile;
pub use target::Target;
pub use unfinished::abandon;
