//! Opens a store: header, tables and shapes are checked; no weight is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use hotset_base::{Architecture, Bytes, Extent, Families, FileId, checked_extent, limits};
use serde::Deserialize;

use super::header::{
    DENSE_ENTRY, DenseEntry, EXPERT_ENTRY, Header, PartEntry, READ_OTHERWISE, Section, WITHOUT_FAMILIES,
    parse_expert_entry,
};
use super::layout::{DenseShape, PartShape, StoreLayout, StoreMetadata, flat_key};
use super::{PAGE, StoreError};
use crate::printable::printable;
use crate::{Checkpoint, DenseLayer, DenseTensors, ExpertParts, ModelFile, Origin, Stamp, TensorSlice};

/// Opens a store and checks everything but the weights themselves.
pub fn open(path: &Path) -> Result<Checkpoint, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), action: "open", source };
    let file = hotset_inputs::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let length = metadata.len();
    let opened = OpenStore::read(path, &file, length)?;
    let layout = opened.expected_layout()?;
    opened.check_places(&layout)?;
    opened.check_length(&layout, length)?;
    let (file, bytes, stamp) = (Arc::new(file), Bytes(length), Stamp::of(&metadata));
    Ok(opened.into_checkpoint(ModelFile { path: path.to_owned(), file, bytes, stamp }))
}

/// The parsed sections of a store.
pub(super) struct OpenStore<'a> {
    path: &'a Path,
    header: Header,
    metadata_json: Vec<u8>,
    metadata: StoreMetadata,
    families: Vec<Families>,
    dense: Vec<DenseEntry>,
    experts: Vec<[PartEntry; 3]>,
}

impl<'a> OpenStore<'a> {
    pub fn read(path: &'a Path, file: &File, length: u64) -> Result<Self, StoreError> {
        let mut page = vec![0; PAGE.min(length) as usize];
        read_at(path, file, &mut page, 0)?;
        let header = Header::parse(path, &page)?;
        check_counts(path, &header)?;
        let metadata_json = section(path, file, "metadata", &header.metadata, length)?;
        let dense_bytes = section(path, file, "dense table", &header.dense_table, length)?;
        let expert_bytes = section(path, file, "expert table", &header.expert_table, length)?;
        let mut hasher = blake3::Hasher::new();
        for bytes in [&metadata_json, &dense_bytes, &expert_bytes] {
            hasher.update(bytes);
        }
        if *hasher.finalize().as_bytes() != header.store_id {
            return Err(damaged(path, "header", "the store id does not match the tables"));
        }
        let metadata = parse_metadata(path, &metadata_json)?;
        let config = &metadata.config;
        config.check().map_err(|detail| damaged(path, "metadata", &detail))?;
        let families = metadata.families().map_err(|detail| damaged(path, "metadata", &detail))?;
        check_version(path, header.version, &metadata)?;
        if header.expert_count as usize != config.layers * config.experts {
            return Err(damaged(path, "header", "the number of experts does not fit the model"));
        }
        let dense = dense_bytes
            .chunks_exact(DENSE_ENTRY)
            .map(|row| DenseEntry::parse(row).ok_or_else(|| damaged(path, "dense table", "unreadable entry")))
            .collect::<Result<_, _>>()?;
        let experts = expert_bytes
            .chunks_exact(EXPERT_ENTRY)
            .enumerate()
            .map(|(i, row)| {
                let key = flat_key(i, metadata.config.experts);
                parse_expert_entry(row, key)
                    .ok_or_else(|| damaged(path, "expert table", &format!("entry {i} is not that of {key}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { path, header, metadata_json, metadata, families, dense, experts })
    }

    /// The layout that a store of these types must have: there is only one.
    pub fn expected_layout(&self) -> Result<StoreLayout, StoreError> {
        let config = &self.metadata.config;
        let (hidden, width) = (config.hidden, config.expert_width);
        let shapes = [(width, hidden), (width, hidden), (hidden, width)];
        let dense = self.dense.iter().map(|entry| DenseShape {
            name: entry.name.clone(),
            ty: entry.ty,
            rows: entry.rows as usize,
            cols: entry.cols as usize,
        });
        let parts = self.experts.iter().map(|parts| {
            let part = |i: usize| PartShape { ty: parts[i].ty, rows: shapes[i].0, cols: shapes[i].1 };
            [part(0), part(1), part(2)]
        });
        StoreLayout::around(self.metadata_json.clone(), &self.metadata, dense.collect(), parts.collect())
            .map_err(|e| damaged(self.path, "dense table", &e.to_string()))
    }

    /// Every section, tensor and part must be where the one valid layout has it.
    fn check_places(&self, layout: &StoreLayout) -> Result<(), StoreError> {
        let bad = |section, what: &str| Err(damaged(self.path, section, &format!("{what} is out of place")));
        if self.header.metadata.span != layout.metadata_span
            || self.header.dense_table.span != layout.dense_table
            || self.header.expert_table.span != layout.expert_table
        {
            return bad("header", "a section");
        }
        for (entry, span) in self.dense.iter().zip(&layout.dense) {
            if entry.span != *span {
                return bad("dense table", &entry.name);
            }
        }
        for (flat, (parts, spans)) in self.experts.iter().zip(&layout.parts).enumerate() {
            if (0..3).any(|i| parts[i].span != spans[i]) {
                return bad("expert table", &layout.key(flat).to_string());
            }
        }
        let expected = expected_dense(&self.metadata);
        if expected.len() != self.dense.len() {
            return bad("dense table", "the number of tensors");
        }
        for (entry, (name, rows, cols)) in self.dense.iter().zip(&expected) {
            if entry.name != *name || entry.rows != *rows as u64 || entry.cols != *cols as u64 {
                return bad("dense table", &entry.name);
            }
        }
        Ok(())
    }

    /// The file must be exactly as long as the layout; a short one names the first record it lacks.
    fn check_length(&self, layout: &StoreLayout, actual: u64) -> Result<(), StoreError> {
        if self.header.file_bytes != layout.file_bytes {
            return Err(damaged(self.path, "header", "the file length does not fit the tables"));
        }
        let wrong = |state, what: String, end| StoreError::WrongLength {
            path: self.path.to_owned(),
            state,
            what,
            end,
            actual,
        };
        if actual > layout.file_bytes {
            return Err(wrong("trailing bytes", "the store".to_owned(), layout.file_bytes));
        }
        if actual == layout.file_bytes {
            return Ok(());
        }
        if let Some(i) = layout.dense.iter().position(|span| span.end() > actual) {
            return Err(wrong(
                "store truncated",
                format!("tensor {}", layout.dense_shapes[i].name),
                layout.dense[i].end(),
            ));
        }
        if let Some(i) = layout.record_order.iter().copied().find(|&i| layout.parts[i][2].end() > actual) {
            return Err(wrong(
                "store truncated",
                format!("record {}", layout.key(i)),
                layout.parts[i][2].end(),
            ));
        }
        Err(wrong("store truncated", "the store".to_owned(), layout.file_bytes))
    }

    fn into_checkpoint(self, file: ModelFile) -> Checkpoint {
        let slices: Vec<TensorSlice> = self.dense.iter().map(dense_slice).collect();
        let config = &self.metadata.config;
        let layer = |i: usize| {
            let at = |k: usize| slices[1 + 9 * i + k];
            DenseLayer {
                attn_norm: at(0),
                q: at(1),
                k: at(2),
                v: at(3),
                o: at(4),
                q_norm: at(5),
                k_norm: at(6),
                ffn_norm: at(7),
                router: at(8),
            }
        };
        let dense = DenseTensors {
            embedding: slices[0],
            layers: (0..config.layers).map(layer).collect(),
            output_norm: slices[1 + 9 * config.layers],
            head: slices.get(2 + 9 * config.layers).copied(),
        };
        let (hidden, width) = (config.hidden, config.expert_width);
        let experts = self.experts.iter().map(|parts| ExpertParts {
            gate: part_slice(&parts[0], width, hidden),
            up: part_slice(&parts[1], width, hidden),
            down: part_slice(&parts[2], hidden, width),
        });
        Checkpoint {
            origin: Origin::Store,
            architecture: self.metadata.architecture,
            files: vec![file],
            experts: experts.collect(),
            dense,
            store_id: Some(blake3::Hash::from(self.header.store_id).to_hex().to_string()),
            suggested_memory: self.metadata.suggested_memory,
            recipe: Some(self.metadata.recipe),
            families: self.families,
            chat_template: self.metadata.chat_template,
            tokenizer: self.metadata.tokenizer,
            config: self.metadata.config,
            warnings: Vec::new(),
        }
    }
}

fn extent(span: super::span::Span) -> Extent {
    Extent { file: FileId(0), offset: span.offset, bytes: Bytes(span.bytes) }
}

fn dense_slice(entry: &DenseEntry) -> TensorSlice {
    TensorSlice {
        extent: extent(entry.span),
        ty: entry.ty,
        rows: entry.rows as usize,
        cols: entry.cols as usize,
        crc: Some(entry.crc),
    }
}

fn part_slice(part: &PartEntry, rows: usize, cols: usize) -> TensorSlice {
    TensorSlice { extent: extent(part.span), ty: part.ty, rows, cols, crc: Some(part.crc) }
}

/// Names and shapes of the dense tensors a model of this config has, in store order.
fn expected_dense(metadata: &StoreMetadata) -> Vec<(String, usize, usize)> {
    let c = &metadata.config;
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let mut all = vec![("token_embd.weight".to_owned(), c.vocab, c.hidden)];
    for i in 0..c.layers {
        let layer = [
            ("attn_norm", 1, c.hidden),
            ("attn_q", q, c.hidden),
            ("attn_k", kv, c.hidden),
            ("attn_v", kv, c.hidden),
            ("attn_output", c.hidden, q),
            ("attn_q_norm", 1, c.head_dim),
            ("attn_k_norm", 1, c.head_dim),
            ("ffn_norm", 1, c.hidden),
            ("ffn_gate_inp", c.experts, c.hidden),
        ];
        all.extend(layer.map(|(name, rows, cols)| (format!("blk.{i}.{name}.weight"), rows, cols)));
    }
    all.push(("output_norm.weight".to_owned(), 1, c.hidden));
    if !metadata.tied {
        all.push(("output.weight".to_owned(), c.vocab, c.hidden));
    }
    all
}

fn read_at(path: &Path, file: &File, buf: &mut [u8], offset: u64) -> Result<(), StoreError> {
    file.read_exact_at(buf, offset).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::WrongLength {
            path: path.to_owned(),
            state: "store truncated",
            what: "a section".to_owned(),
            end: offset + buf.len() as u64,
            actual: file.metadata().map_or(0, |m| m.len()),
        },
        _ => StoreError::Io { path: path.to_owned(), action: "read", source },
    })
}

fn section(
    path: &Path,
    file: &File,
    name: &'static str,
    section: &Section,
    length: u64,
) -> Result<Vec<u8>, StoreError> {
    let span = section.span;
    let extent = checked_extent(FileId(0), span.offset, span.bytes, 1, length).map_err(|_| {
        StoreError::WrongLength {
            path: path.to_owned(),
            state: "store truncated",
            what: format!("the {name}"),
            end: span.offset.saturating_add(span.bytes),
            actual: length,
        }
    })?;
    let mut bytes = vec![0; extent.bytes.index()];
    read_at(path, file, &mut bytes, span.offset)?;
    if crc32c::crc32c(&bytes) != section.crc {
        return Err(damaged(path, name, "checksum mismatch"));
    }
    Ok(bytes)
}

pub(super) fn damaged(path: &Path, section: &'static str, detail: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), section, detail: detail.to_owned() }
}

/// The architecture is looked at first: the rest of another's may have another form.
fn parse_metadata(path: &Path, json: &[u8]) -> Result<StoreMetadata, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        architecture: Option<String>,
    }
    let unreadable = |error: serde_json::Error| damaged(path, "metadata", &error.to_string());
    let head: Head = serde_json::from_slice(json).map_err(unreadable)?;
    if let Some(name) = head.architecture.filter(|name| Architecture::named(name).is_none()) {
        return Err(StoreError::Architecture {
            path: path.to_owned(),
            found: printable(&name),
            supported: Architecture::ALL.map(Architecture::name).join(", "),
        });
    }
    serde_json::from_slice(json).map_err(unreadable)
}

/// A store is of the oldest version that has what it holds.
fn check_version(path: &Path, version: u32, metadata: &StoreMetadata) -> Result<(), StoreError> {
    let what = if metadata.families.is_none() != (version == WITHOUT_FAMILIES) {
        "a store has families from format version 2 on"
    } else if metadata.reads_otherwise() != (version == READ_OTHERWISE) {
        "scaled positions and texts that are not composed belong to format version 3, which has one of them"
    } else if metadata.version() != version {
        "format version 4 is for other architectures"
    } else {
        return Ok(());
    };
    Err(damaged(path, "metadata", what))
}

/// Counts that size the tables; checked before anything is read by them.
fn check_counts(path: &Path, header: &Header) -> Result<(), StoreError> {
    let fits = |section: &Section, count: u32, entry: usize| {
        u64::from(count).checked_mul(entry as u64) == Some(section.span.bytes)
    };
    let ok = fits(&header.dense_table, header.dense_count, DENSE_ENTRY)
        && fits(&header.expert_table, header.expert_count, EXPERT_ENTRY)
        && header.expert_count as usize <= limits::MAX_LAYERS * limits::MAX_EXPERTS
        && header.dense_count as usize <= limits::MAX_LAYERS * 9 + 3
        && header.metadata.span.bytes <= limits::MAX_TABLE_FILE.0;
    if ok { Ok(()) } else { Err(damaged(path, "header", "counts and sizes contradict each other")) }
}
