//! Trust ledgers on disk: the snapshot's format (docs/ledger-format.md), checked when read and replaced as a
//! whole when written.
//!
//! Owns no learning: that is `policy::contexts`. It must never panic on any file, never allocate more than the
//! bytes a file has, and never leave half a file under a ledger's name.
#![forbid(unsafe_code)]

mod error;
mod file;
mod header;
mod snapshot;
mod writer;

pub use error::LedgerError;
pub use file::{load, save};
pub use header::LEDGER_VERSION;
pub use hotset_policy::Record;
pub use hotset_policy::contexts::{Context, ContextId, ContextsShape};
pub use snapshot::Snapshot;
pub use writer::LedgerWriter;
