//! A trace, whatever file it is in.

use std::io::Read;
use std::path::Path;

use crate::header::MAGIC;
use crate::{CsvTrace, Ending, Pass, TraceError, TraceHeader, TraceReader};

/// A trace of ours, or one in CSV.
pub enum TraceSource {
    /// Read as it goes.
    Trace(Box<TraceReader>),
    /// Read whole.
    Csv(CsvTrace),
}

impl TraceSource {
    /// Opens a file; its first bytes tell what it is.
    ///
    /// # Errors
    /// As [`TraceReader::open`] and [`CsvTrace::open`].
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let mut magic = Vec::new();
        let file = hotset_inputs::open(path).map_err(TraceError::io("open", path))?;
        file.take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(TraceError::io("read", path))?;
        match magic.first() {
            Some(b'#') => CsvTrace::open(path).map(Self::Csv),
            _ => TraceReader::open(path).map(|reader| Self::Trace(Box::new(reader))),
        }
    }

    /// What holds for the whole trace.
    pub fn header(&self) -> &TraceHeader {
        match self {
            Self::Trace(reader) => reader.header(),
            Self::Csv(csv) => csv.header(),
        }
    }

    /// The next pass, or `None` at the end.
    ///
    /// # Errors
    /// As [`TraceReader::next_pass`].
    pub fn next_pass(&mut self) -> Result<Option<Pass>, TraceError> {
        match self {
            Self::Trace(reader) => reader.next_pass(),
            Self::Csv(csv) => Ok(csv.next_pass()),
        }
    }

    /// How it ended, if it is a trace of ours and has been read.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Self::Trace(reader) => reader.ending(),
            Self::Csv(_) => None,
        }
    }

    /// As [`TraceReader::unfinished`].
    pub fn unfinished(&self) -> usize {
        match self {
            Self::Trace(reader) => reader.unfinished(),
            Self::Csv(_) => 0,
        }
    }
}
