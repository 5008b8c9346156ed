//! The vocabulary every other crate shares: ids, units, limits, weight types, checked extents and figures.
//!
//! Owns no behaviour beyond arithmetic that must be done the same way everywhere. It must never
//! open a file, spawn a thread, read a clock or depend on another crate of this workspace.
#![forbid(unsafe_code)]

mod architecture;
mod bytes;
mod choice;
mod extent;
mod families;
pub mod figures;
mod ids;
pub mod limits;
pub mod little_endian;
mod phase;
mod row;
mod weight_type;

pub use architecture::Architecture;
pub use bytes::{Bytes, ParseBytesError};
pub use choice::{Choice, Contribution};
pub use extent::{Extent, ExtentError, checked_extent};
pub use families::{Families, LabelError};
pub use ids::{ExpertId, ExpertKey, FileId, LayerId};
pub use phase::Phase;
pub use row::{Batch, BatchError, Row, RowKind, SequenceId};
pub use weight_type::{ParseWeightTypeError, WeightType};
