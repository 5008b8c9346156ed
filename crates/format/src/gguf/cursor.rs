//! Reads a header from its start; never past the end of the file, never more than is there.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use hotset_base::{FileId, checked_extent, limits};

use crate::{FormatError, ModelFile};

/// A position in a file of known length.
pub(super) struct Cursor<'a> {
    reader: BufReader<&'a std::fs::File>,
    path: &'a Path,
    at: u64,
    end: u64,
}

impl<'a> Cursor<'a> {
    pub fn new(file: &'a ModelFile) -> Result<Self, FormatError> {
        let mut reader = BufReader::with_capacity(1 << 16, &*file.file);
        reader.seek(SeekFrom::Start(0)).map_err(FormatError::io(&file.path, "read"))?;
        Ok(Self { reader, path: &file.path, at: 0, end: file.bytes.0 })
    }

    pub fn position(&self) -> u64 {
        self.at
    }

    /// An error at this position.
    pub fn error(&self, what: impl std::fmt::Display) -> FormatError {
        FormatError::malformed(self.path, format!("at byte {}: {what}", self.at))
    }

    /// Checks that `count` things of at least `each` bytes can still follow, in the file and in what a
    /// header may take: a sparse file of terabytes costs its maker nothing.
    pub fn check_room(&self, what: &str, count: u64, each: u64) -> Result<(), FormatError> {
        let extent = checked_extent(FileId(0), self.at, count, each, self.end)
            .map_err(|error| self.error(format_args!("{what} {error}")))?;
        if extent.end() > limits::MAX_GGUF_HEADER.0 {
            let limit = limits::MAX_GGUF_HEADER;
            return Err(self.error(format_args!("{what} would make the header longer than {limit}")));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.check_room("the header", N as u64, 1)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(FormatError::io(self.path, "read"))?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.take::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// A string with its length before it.
    pub fn string(&mut self, what: &str, limit: usize) -> Result<String, FormatError> {
        let length = self.u64()?;
        self.check_room(what, length, 1)?;
        if length > limit as u64 {
            return Err(self.error(format_args!("{what} has {length} bytes, more than the limit of {limit}")));
        }
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes).map_err(FormatError::io(self.path, "read"))?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| self.error(format_args!("{what} is not UTF-8")))
    }

    /// Passes over bytes that are there.
    pub fn skip(&mut self, what: &str, count: u64, each: u64) -> Result<(), FormatError> {
        self.check_room(what, count, each)?;
        let bytes = count * each;
        let step = i64::try_from(bytes).map_err(|_| self.error(format_args!("{what} is too long")))?;
        self.reader.seek_relative(step).map_err(FormatError::io(self.path, "read"))?;
        self.at += bytes;
        Ok(())
    }
}
