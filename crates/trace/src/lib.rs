//! Traces: what the routers of a run wanted, what was hot, and what was read and waited for.
//!
//! Owns the file format (docs/trace-format.md), its writer and its reader, CSV and Parquet. It must never
//! decide anything from a trace (the replay does) nor know how a token is computed.
#![forbid(unsafe_code)]

mod block;
mod csv;
mod error;
mod header;
mod parquet;
mod pass;
mod reader;
mod record;
mod recorder;
mod ring;
mod source;
mod summary;

pub use csv::{CsvTrace, export_csv};
pub use error::TraceError;
pub use header::{TRACE_VERSION, TraceHeader};
pub use parquet::export_parquet;
pub use pass::{LayerToken, Pass, Reads, TraceRow, Visit, VisitHead};
pub use reader::{Ending, TraceReader};
pub use record::Scores;
pub use recorder::{Recorder, TraceFile, TraceTotals};
pub use source::TraceSource;
pub use summary::{SEEN_WITHIN, Summary};
