//! Writes a store so that at every moment there is either no store or a complete one.

use std::sync::atomic::{AtomicU32, Ordering};

use hotset_base::{Bytes, ExpertKey};
use hotset_outputs::PartialFile;

use super::StoreError;
use super::checksum::{part_seed, tensor_seed};
use super::header::{DenseEntry, Header, PartEntry, Section, expert_entry_to_bytes};
use super::layout::StoreLayout;
use super::span::Span;

/// A store being written. Parts may be written from several threads and in any order; dropping the
/// writer before [`StoreWriter::finish`] removes what was written.
pub struct StoreWriter {
    file: PartialFile,
    layout: StoreLayout,
    dense_crcs: Vec<AtomicU32>,
    part_crcs: Vec<[AtomicU32; 3]>,
}

impl StoreWriter {
    /// Begins the store in a file that was claimed for it.
    pub fn create(file: PartialFile, layout: StoreLayout) -> Result<Self, StoreError> {
        file.resize(layout.file_bytes)?;
        Ok(Self {
            file,
            dense_crcs: layout.dense_shapes.iter().map(|_| AtomicU32::new(0)).collect(),
            part_crcs: layout.part_shapes.iter().map(|_| Default::default()).collect(),
            layout,
        })
    }

    /// Starts writing the `index`-th dense tensor of the layout.
    pub fn dense_stream(&self, index: usize) -> DenseStream<'_> {
        let crc = tensor_seed(&self.layout.dense_shapes[index].name);
        DenseStream { writer: self, index, written: 0, crc }
    }

    /// Writes one part (0 gate, 1 up, 2 down) of one expert.
    pub fn write_part(&self, key: ExpertKey, part: usize, bytes: &[u8]) -> Result<(), StoreError> {
        let flat = key.flat(self.layout.experts_per_layer);
        let span = self.layout.parts[flat][part];
        check_payload(|| format!("{key} part {part}"), bytes, span)?;
        let crc = crc32c::crc32c_append(part_seed(key, part), bytes);
        self.part_crcs[flat][part].store(crc, Ordering::Relaxed);
        Ok(self.file.write_at(bytes, span.offset)?)
    }

    /// Writes tables and header, makes everything durable and gives the store its name. Returns the
    /// store id in hexadecimal.
    pub fn finish(self) -> Result<String, StoreError> {
        let dense_table = self.dense_table();
        let expert_table = self.expert_table();
        let mut hasher = blake3::Hasher::new();
        for section in [&self.layout.metadata, &dense_table, &expert_table] {
            hasher.update(section);
        }
        let store_id = hasher.finalize();
        let sections = [
            (&self.layout.metadata, self.layout.metadata_span),
            (&dense_table, self.layout.dense_table),
            (&expert_table, self.layout.expert_table),
        ];
        for (bytes, span) in sections {
            self.file.write_at(bytes, span.offset)?;
        }
        let section = |(bytes, span): (&Vec<u8>, Span)| Section { span, crc: crc32c::crc32c(bytes) };
        let header = Header {
            version: self.layout.version,
            file_bytes: self.layout.file_bytes,
            store_id: *store_id.as_bytes(),
            metadata: section(sections[0]),
            dense_table: section(sections[1]),
            dense_count: self.layout.dense_shapes.len() as u32,
            expert_table: section(sections[2]),
            expert_count: self.layout.part_shapes.len() as u32,
        };
        self.file.write_at(&header.to_bytes(), 0)?;
        self.file.commit()?;
        Ok(store_id.to_hex().to_string())
    }

    fn dense_table(&self) -> Vec<u8> {
        let rows = self.layout.dense_shapes.iter().zip(&self.layout.dense).zip(&self.dense_crcs);
        rows.flat_map(|((shape, &span), crc)| {
            DenseEntry {
                name: shape.name.clone(),
                ty: shape.ty,
                crc: crc.load(Ordering::Relaxed),
                rows: shape.rows as u64,
                cols: shape.cols as u64,
                span,
            }
            .to_bytes()
        })
        .collect()
    }

    fn expert_table(&self) -> Vec<u8> {
        (0..self.layout.parts.len())
            .flat_map(|flat| {
                let part = |i: usize| PartEntry {
                    span: self.layout.parts[flat][i],
                    ty: self.layout.part_shapes[flat][i].ty,
                    crc: self.part_crcs[flat][i].load(Ordering::Relaxed),
                };
                expert_entry_to_bytes(self.layout.key(flat), &[part(0), part(1), part(2)])
            })
            .collect()
    }
}

/// One dense tensor being written from its first byte to its last.
pub struct DenseStream<'a> {
    writer: &'a StoreWriter,
    index: usize,
    written: u64,
    crc: u32,
}

impl DenseStream<'_> {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let span = self.writer.layout.dense[self.index];
        let total = self.written + bytes.len() as u64;
        if total > span.bytes {
            return Err(self.wrong_payload(total));
        }
        self.writer.file.write_at(bytes, span.offset + self.written)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.written = total;
        Ok(())
    }

    /// Ends the tensor; an error if bytes are missing.
    pub fn finish(self) -> Result<(), StoreError> {
        if self.written != self.writer.layout.dense[self.index].bytes {
            return Err(self.wrong_payload(self.written));
        }
        self.writer.dense_crcs[self.index].store(self.crc, Ordering::Relaxed);
        Ok(())
    }

    fn wrong_payload(&self, actual: u64) -> StoreError {
        StoreError::WrongPayload {
            what: self.writer.layout.dense_shapes[self.index].name.clone(),
            actual: Bytes(actual),
            expected: Bytes(self.writer.layout.dense[self.index].bytes),
        }
    }
}

fn check_payload(what: impl Fn() -> String, bytes: &[u8], span: Span) -> Result<(), StoreError> {
    if bytes.len() as u64 == span.bytes {
        return Ok(());
    }
    Err(StoreError::WrongPayload {
        what: what(),
        actual: Bytes(bytes.len() as u64),
        expected: Bytes(span.bytes),
    })
}
