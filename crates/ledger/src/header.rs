//! The head of a ledger's file. Offsets are those of docs/ledger-format.md.

use std::path::Path;

use hotset_outputs::LEDGER_MAGIC as MAGIC;
use hotset_policy::contexts::{ContextId, ContextsShape};

use crate::LedgerError;
use hotset_base::limits::{MAX_EXPERTS, MAX_LAYERS, MAX_LEDGER_CONTEXTS};
use hotset_base::little_endian::{u16_at, u32_at, u64_at};

/// The version this program writes and reads.
pub const LEDGER_VERSION: u32 = 1;
const BYTE_ORDER: u32 = 0x0102_0304;
/// Bytes of the header.
pub(crate) const HEADER: usize = 128;
const CRC_AT: usize = HEADER - 4;
/// The present context's field when there is none.
const NO_CONTEXT: u16 = u16::MAX;
/// Bytes of a context's head and of one record.
pub(crate) const CONTEXT: usize = 24;
pub(crate) const RECORD: usize = 20;

pub(crate) struct Header {
    pub identity: [u8; 32],
    pub shape: ContextsShape,
    pub contexts: usize,
    pub present: Option<ContextId>,
    pub tokens: u64,
    pub body_crc: u32,
}

impl Header {
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &LEDGER_VERSION.to_le_bytes());
        put(12, &BYTE_ORDER.to_le_bytes());
        put(16, &(self.shape.layers as u16).to_le_bytes());
        put(18, &(self.shape.experts as u16).to_le_bytes());
        put(20, &(self.contexts as u16).to_le_bytes());
        put(22, &self.present.map_or(NO_CONTEXT, |context| context.0).to_le_bytes());
        put(24, &self.tokens.to_le_bytes());
        put(32, &self.identity);
        put(64, &self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn parse(path: &Path, bytes: &[u8; HEADER]) -> Result<Self, LedgerError> {
        if bytes[..MAGIC.len()] != MAGIC {
            return Err(LedgerError::NotALedger(path.to_owned()));
        }
        // The version before the checksum: a later one may have it elsewhere.
        let found = u32_at(bytes, 8);
        if found != LEDGER_VERSION {
            return Err(LedgerError::Version { path: path.to_owned(), found, known: LEDGER_VERSION });
        }
        let damaged = |detail: String| LedgerError::Damaged { path: path.to_owned(), detail };
        if crc32c::crc32c(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT) {
            return Err(damaged("the header does not match its checksum".to_owned()));
        }
        if u32_at(bytes, 12) != BYTE_ORDER {
            return Err(damaged("written in another byte order".to_owned()));
        }
        if bytes[68..CRC_AT].iter().any(|&byte| byte != 0) {
            return Err(damaged("reserved fields of the header are not zero".to_owned()));
        }
        let [layers, experts, contexts] = [16, 18, 20].map(|at| usize::from(u16_at(bytes, at)));
        check_sizes(layers, experts, contexts).map_err(damaged)?;
        let present = match u16_at(bytes, 22) {
            NO_CONTEXT => None,
            n if usize::from(n) < contexts => Some(ContextId(n)),
            n => return Err(damaged(format!("its present context is {n} of {contexts}"))),
        };
        Ok(Self {
            identity: bytes[32..64].try_into().expect("32 bytes"),
            shape: ContextsShape { layers, experts },
            contexts,
            present,
            tokens: u64_at(bytes, 24),
            body_crc: u32_at(bytes, 64),
        })
    }

    /// Bytes of all that follows the header. No overflow: the limits keep it below 2^33.
    pub fn body_bytes(&self) -> u64 {
        self.contexts as u64 * (CONTEXT as u64 + self.shape.all() as u64 * RECORD as u64)
    }
}

/// Sizes within the limits, before anything is made of them.
pub(crate) fn check_sizes(layers: usize, experts: usize, contexts: usize) -> Result<(), String> {
    let within = |n: usize, what, least, max| match n {
        n if (least..=max).contains(&n) => Ok(()),
        n => Err(format!("{n} {what}; {least} to {max} are possible")),
    };
    within(layers, "layers", 1, MAX_LAYERS)?;
    within(experts, "experts per layer", 1, MAX_EXPERTS)?;
    within(contexts, "contexts", 0, MAX_LEDGER_CONTEXTS)
}
