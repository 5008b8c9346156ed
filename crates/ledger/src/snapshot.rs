//! A ledger as plain tables, and these as bytes.

use std::path::Path;

use hotset_policy::ledger::{Context, ContextId, Ledger, LedgerOptions, LedgerShape, Record};

use crate::LedgerError;
use crate::header::{CONTEXT, Header, RECORD, u32_at, u64_at};

/// A moment of a ledger, and the model it was learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What tells the model from others.
    pub identity: [u8; 32],
    /// Layers and experts.
    pub shape: LedgerShape,
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
    /// Of a ledger as it is.
    pub fn of(ledger: &Ledger, identity: [u8; 32]) -> Self {
        let contexts = ledger.contexts().to_vec();
        let all = (0..contexts.len()).map(|i| ContextId(i as u16));
        Self {
            identity,
            shape: ledger.shape(),
            tokens: ledger.tokens(),
            present: ledger.present(),
            records: all.flat_map(|context| ledger.records(context)).copied().collect(),
            contexts,
        }
    }

    /// A ledger that goes on from here.
    pub fn into_ledger(self, options: LedgerOptions) -> Ledger {
        Ledger::restore(self.shape, options, self.tokens, self.present, &self.contexts, &self.records)
    }

    /// Refuses a ledger of another model. `path` is for the message.
    ///
    /// # Errors
    /// [`LedgerError::OtherModel`].
    pub fn check_model(
        &self,
        path: &Path,
        identity: [u8; 32],
        shape: LedgerShape,
    ) -> Result<(), LedgerError> {
        let other = |detail| Err(LedgerError::OtherModel { path: path.to_owned(), detail });
        let LedgerShape { layers, experts } = self.shape;
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
        let all = self.shape.all();
        let mut body = Vec::with_capacity(self.contexts.len() * (CONTEXT + all * RECORD));
        for (context, records) in self.contexts.iter().zip(self.records.chunks_exact(all)) {
            body.extend(context.tokens.to_le_bytes());
            body.extend(context.last.to_le_bytes());
            body.extend(context.windows.to_le_bytes());
            body.extend(context.usual.to_le_bytes());
            for record in records {
                let numbers = [record.mass, record.uses, record.seen, record.mean, record.variance];
                numbers.iter().for_each(|number| body.extend(number.to_le_bytes()));
            }
        }
        let header = Header {
            identity: self.identity,
            shape: self.shape,
            contexts: self.contexts.len(),
            present: self.present,
            tokens: self.tokens,
            body_crc: crc32c::crc32c(&body),
        };
        let mut out = header.to_bytes().to_vec();
        out.append(&mut body);
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
        for (i, bytes) in body.chunks_exact(CONTEXT + all * RECORD).enumerate() {
            let context = Context {
                tokens: u64_at(bytes, 0),
                last: u64_at(bytes, 8),
                windows: u32_at(bytes, 16),
                usual: number(bytes, 20),
            };
            if !(0.0..=1.0).contains(&context.usual) {
                return Err(damaged(format!("context {i} is {} wide, not from 0 to 1", context.usual)));
            }
            snapshot.contexts.push(context);
            for (flat, bytes) in bytes[CONTEXT..].chunks_exact(RECORD).enumerate() {
                let field = |i: usize| number(bytes, 4 * i);
                if !(0..5).all(|i| field(i).is_finite() && field(i) >= 0.0) {
                    let (layer, expert) = (flat / header.shape.experts, flat % header.shape.experts);
                    return Err(damaged(format!("context {i}, L{layer}/E{expert}: no possible record")));
                }
                let (mass, uses, seen) = (field(0), field(1), field(2));
                snapshot.records.push(Record { mass, uses, seen, mean: field(3), variance: field(4) });
            }
        }
        Ok(snapshot)
    }
}

fn number(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}
