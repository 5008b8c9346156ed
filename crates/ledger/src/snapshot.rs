//! A ledger as plain tables, and these as bytes.

use std::path::Path;

use hotset_base::little_endian::{u32_at, u64_at};
use hotset_policy::Record;
use hotset_policy::contexts::{Context, ContextId, Contexts, ContextsOptions, ContextsShape};

use crate::LedgerError;
use crate::header::{CONTEXT, HEADER, Header, RECORD, check_sizes};

/// A moment of a ledger, and the model it was learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What tells the model from others.
    pub identity: [u8; 32],
    /// Layers and experts.
    pub shape: ContextsShape,
    /// Tokens seen.
    pub tokens: u64,
    /// The context that the last text was in.
    pub present: Option<ContextId>,
    /// At most `MAX_LEDGER_CONTEXTS`.
    pub contexts: Vec<Context>,
    /// `[contexts, layers * experts]`
    pub records: Vec<Record>,
}

impl Snapshot {
    /// Of contexts as they are.
    pub fn of(contexts: &Contexts, identity: [u8; 32]) -> Self {
        let known = contexts.known().to_vec();
        let all = (0..known.len()).map(|i| ContextId(i as u16));
        Self {
            identity,
            shape: contexts.shape(),
            tokens: contexts.tokens(),
            present: contexts.present(),
            records: all.flat_map(|context| contexts.records(context)).copied().collect(),
            contexts: known,
        }
    }

    /// Contexts that go on from here.
    pub fn into_contexts(self, options: ContextsOptions) -> Contexts {
        Contexts::restore(self.shape, options, self.tokens, self.present, &self.contexts, &self.records)
    }

    /// Refuses a ledger of another model. `path` is for the message.
    ///
    /// # Errors
    /// [`LedgerError::OtherModel`].
    pub fn check_model(
        &self,
        path: &Path,
        identity: [u8; 32],
        shape: ContextsShape,
    ) -> Result<(), LedgerError> {
        let other = |detail| Err(LedgerError::OtherModel { path: path.to_owned(), detail });
        let ContextsShape { layers, experts } = self.shape;
        if self.shape != shape {
            let (here, there) = (shape.layers, shape.experts);
            return other(format!("{layers} layers of {experts} experts, this one has {here} of {there}"));
        }
        if self.identity != identity {
            return other("of the same shape but other weights".to_owned());
        }
        Ok(())
    }

    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let tables = self.contexts.iter().zip(self.records.chunks_exact(self.shape.all()));
        write(self.identity, self.shape, (self.tokens, self.present), tables, &mut out);
        out
    }

    /// From a header that was checked and as many bytes as it asks for.
    pub(crate) fn parse_body(path: &Path, header: &Header, body: &[u8]) -> Result<Self, LedgerError> {
        let damaged = |detail: String| LedgerError::Damaged { path: path.to_owned(), detail };
        if crc32c::crc32c(body) != header.body_crc {
            return Err(damaged("its tables do not match their checksum".to_owned()));
        }
        let all = header.shape.all();
        let mut snapshot = Self {
            identity: header.identity,
            shape: header.shape,
            tokens: header.tokens,
            present: header.present,
            contexts: Vec::with_capacity(header.contexts),
            records: Vec::with_capacity(header.contexts * all),
        };
        for bytes in body.chunks_exact(CONTEXT + all * RECORD) {
            let context = Context {
                tokens: u64_at(bytes, 0),
                last: u64_at(bytes, 8),
                windows: u32_at(bytes, 16),
                usual: number(bytes, 20),
            };
            snapshot.contexts.push(context);
            snapshot.records.extend(bytes[CONTEXT..].chunks_exact(RECORD).map(|bytes| {
                let field = |i: usize| number(bytes, 4 * i);
                Record { mass: field(0), uses: field(1), seen: field(2), mean: field(3), variance: field(4) }
            }));
        }
        snapshot.check().map_err(damaged)?;
        Ok(snapshot)
    }

    /// What is impossible about it, wherever it comes from: sizes over the limits, tables that do not fit
    /// them, numbers that are none or too large to go on from.
    ///
    /// # Errors
    /// The first thing found, for people.
    pub fn check(&self) -> Result<(), String> {
        let ContextsShape { layers, experts } = self.shape;
        check_sizes(layers, experts, self.contexts.len())?;
        if let Some(present) = self.present.filter(|present| present.index() >= self.contexts.len()) {
            return Err(format!("its present context is {} of {}", present.0, self.contexts.len()));
        }
        let (found, all) = (self.records.len(), self.shape.all());
        if found != self.contexts.len() * all {
            return Err(format!("{found} records, its contexts need {}", self.contexts.len() * all));
        }
        for (i, context) in self.contexts.iter().enumerate() {
            if !(0.0..=1.0).contains(&context.usual) {
                return Err(format!("context {i} is {} wide, not from 0 to 1", context.usual));
            }
        }
        for (i, record) in self.records.iter().enumerate() {
            let numbers = [record.mass, record.uses, record.seen, record.mean];
            let possible = numbers.iter().all(|number| (0.0..=Record::MAX).contains(number));
            if !(possible && (0.0..=Record::MAX * Record::MAX).contains(&record.variance)) {
                let (context, layer, expert) = (i / all, i % all / experts, i % experts);
                return Err(format!("context {context}, L{layer}/E{expert}: no possible record"));
            }
        }
        Ok(())
    }
}

/// A ledger's file, in the place of what `out` holds; allocates only if `out` has too little room
/// ([`file_bytes`]).
pub(crate) fn write_ledger(contexts: &Contexts, identity: [u8; 32], out: &mut Vec<u8>) {
    let records = (0..contexts.known().len()).map(|i| contexts.records(ContextId(i as u16)));
    let tables = contexts.known().iter().zip(records);
    write(identity, contexts.shape(), (contexts.tokens(), contexts.present()), tables, out);
}

/// Bytes of a file with this many contexts.
pub(crate) fn file_bytes(shape: ContextsShape, contexts: usize) -> usize {
    HEADER + contexts * (CONTEXT + shape.all() * RECORD)
}

fn write<'a>(
    identity: [u8; 32],
    shape: ContextsShape,
    (tokens, present): (u64, Option<ContextId>),
    tables: impl ExactSizeIterator<Item = (&'a Context, &'a [Record])>,
    out: &mut Vec<u8>,
) {
    let contexts = tables.len();
    out.clear();
    out.reserve(file_bytes(shape, contexts));
    out.resize(HEADER, 0);
    for (context, records) in tables {
        out.extend(context.tokens.to_le_bytes());
        out.extend(context.last.to_le_bytes());
        out.extend(context.windows.to_le_bytes());
        out.extend(context.usual.to_le_bytes());
        for record in records {
            let numbers = [record.mass, record.uses, record.seen, record.mean, record.variance];
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }
    let body_crc = crc32c::crc32c(&out[HEADER..]);
    let header = Header { identity, shape, contexts, present, tokens, body_crc };
    out[..HEADER].copy_from_slice(&header.to_bytes());
}

fn number(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}
