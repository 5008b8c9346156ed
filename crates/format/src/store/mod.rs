//! The packed store: one file, one read per expert. The bytes are drawn in docs/store-format.md.

mod checksum;
mod error;
mod header;
mod layout;
mod reader;
mod span;
mod verify;
mod writer;

pub use checksum::{part_seed, tensor_seed};
pub use error::StoreError;
pub use header::{MAGIC, STORE_VERSION};
pub use layout::{DenseShape, PartShape, StoreLayout, StoreMetadata};
pub use reader::open;
pub use verify::{VerifyReport, verify};
pub use writer::{DenseStream, StoreWriter};

/// Bytes of the header, and the alignment of records: one page, the unit of direct reads.
const PAGE: u64 = 4096;
/// Alignment of tensors and of the parts of a record: one cache line.
const LINE: u64 = 64;
