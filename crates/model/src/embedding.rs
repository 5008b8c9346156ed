//! The embedding table: in memory, or on disk where a token reads its one row.

use std::sync::Arc;

use hotset_base::{Bytes, WeightType};
use hotset_format::{TensorSlice, store::tensor_seed};
use hotset_io::{PageReader, ReadFile};
use hotset_kernels::dequantize_row;

use crate::loader::Loader;
use crate::{ForwardError, LoadError};

/// Rows read and checked together while opening.
const BAND: usize = 256;

/// A table whose rows are read when a token needs them.
///
/// The whole table is read once while opening: against the store's checksum, and to note the checksum of
/// every row, which each later read of that row must have.
pub(crate) struct RowsOnDisk {
    ty: WeightType,
    row_bytes: usize,
    offset: u64,
    path: std::path::PathBuf,
    reader: PageReader,
    /// `[vocab]`: CRC-32C of each row.
    checksums: Vec<u32>,
}

impl RowsOnDisk {
    /// Memory that opening leaves in use.
    pub fn planned_bytes(table: &TensorSlice) -> Bytes {
        let row = table.extent.bytes.index() / table.rows.max(1);
        Bytes((4 * table.rows + PageReader::planned_bytes(row)) as u64)
    }

    /// Reads the table once; `progress` is told the bytes.
    pub fn open(
        loader: &mut Loader<'_>,
        name: &str,
        table: &TensorSlice,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<Self, LoadError> {
        let row_bytes = table.extent.bytes.index() / table.rows.max(1);
        let mut checksums = Vec::with_capacity(table.rows);
        let mut band = vec![0; BAND * row_bytes];
        let mut whole = tensor_seed(name);
        for first in (0..table.rows).step_by(BAND) {
            let band = &mut band[..BAND.min(table.rows - first) * row_bytes];
            let mut extent = table.extent;
            extent.offset += (first * row_bytes) as u64;
            extent.bytes = Bytes(band.len() as u64);
            loader.read(&extent, band)?;
            whole = crc32c::crc32c_append(whole, band);
            checksums.extend(band.chunks_exact(row_bytes).map(crc32c::crc32c));
            progress(extent.bytes);
        }
        let file = loader.checkpoint.file(table.extent.file);
        if table.crc.is_some_and(|expected| expected != whole) {
            return Err(LoadError::Checksum { path: file.path.clone(), name: name.to_owned() });
        }
        Ok(Self {
            ty: table.ty,
            row_bytes,
            offset: table.extent.offset,
            path: file.path.clone(),
            reader: PageReader::new(ReadFile::direct_if_possible(Arc::clone(&file.file)), row_bytes),
            checksums,
        })
    }

    /// Reads a row, checks it and widens it into `out`: `[hidden]`.
    pub fn row(&mut self, id: u32, out: &mut [f32]) -> Result<(), ForwardError> {
        let offset = self.offset + u64::from(id) * self.row_bytes as u64;
        let path = &self.path;
        let bytes = self
            .reader
            .read(offset, self.row_bytes)
            .map_err(|source| ForwardError::EmbeddingRead { path: path.clone(), offset, source })?;
        if crc32c::crc32c(bytes) != self.checksums[id as usize] {
            return Err(ForwardError::EmbeddingChecksum { path: path.clone(), id });
        }
        dequantize_row(self.ty, bytes, out);
        Ok(())
    }
}
