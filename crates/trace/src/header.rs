//! The head of a trace: whose routers, and how the run was set. Offsets are those of docs/trace-format.md.

use std::collections::BTreeMap;
use std::path::Path;

use hotset_base::Architecture;
use hotset_base::limits::{MAX_EXPERTS, MAX_LAYERS, MAX_TOP_K, MAX_TRACE_METADATA};
use hotset_base::little_endian::{u16_at, u32_at};
pub(crate) use hotset_outputs::TRACE_MAGIC as MAGIC;
use serde::{Deserialize, Serialize};

use crate::TraceError;

/// The version of a trace of one text.
const ONE_TEXT: u32 = 1;
/// The version of a trace of several texts that were under way together; the latest that this program reads.
pub const TRACE_VERSION: u32 = 2;
const BYTE_ORDER: u32 = 0x0102_0304;
/// Bytes of the fixed part.
pub(crate) const FIXED: usize = 64;
const CRC_AT: usize = FIXED - 4;
/// Bits of the flags.
const FULL_SCORES: u16 = 1;
const WHOLE_HOT_SETS: u16 = 2;
const NATIVE_CHOICE: u16 = 4;

/// What holds for the whole trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceHeader {
    /// Name of the model.
    pub model: String,
    /// How it computes: the architecture's name, which need not be one that this program runs.
    pub architecture: String,
    /// Layers with experts.
    pub layers: usize,
    /// Experts of each.
    pub experts: usize,
    /// Experts of a token's native set; a chosen set has at most as many.
    pub top_k: usize,
    /// The chosen weights are renormalised to sum 1.
    pub norm_topk: bool,
    /// Every layer-token has the probabilities of all experts.
    pub full_scores: bool,
    /// Hot sets name all hot experts, not only the chosen ones.
    pub whole_hot_sets: bool,
    /// The chosen sets are the native ones.
    pub native_choice: bool,
    /// Passes may have rows of several texts.
    pub several_texts: bool,
    /// `[layers]`: weights of one expert.
    pub expert_bytes: Vec<u64>,
    /// The run's settings, for people.
    pub options: BTreeMap<String, String>,
}

/// The part of the header that is JSON.
#[derive(Serialize, Deserialize)]
struct Metadata {
    model: String,
    /// Traces that were written before they said it are of the only one there was.
    #[serde(default = "first_architecture")]
    architecture: String,
    norm_topk: bool,
    expert_bytes: Vec<u64>,
    options: BTreeMap<String, String>,
}

pub(crate) fn first_architecture() -> String {
    Architecture::Qwen3Moe.name().to_owned()
}

/// The fixed part, read: what follows it.
pub(crate) struct Fixed {
    header: TraceHeader,
    pub metadata_bytes: usize,
    metadata_crc: u32,
}

impl TraceHeader {
    /// Fixed part and metadata.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let metadata = serde_json::to_vec(&Metadata {
            model: self.model.clone(),
            architecture: self.architecture.clone(),
            norm_topk: self.norm_topk,
            expert_bytes: self.expert_bytes.clone(),
            options: self.options.clone(),
        });
        let metadata = metadata.expect("names and numbers are JSON");
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.full_scores, FULL_SCORES)
            | flag(self.whole_hot_sets, WHOLE_HOT_SETS)
            | flag(self.native_choice, NATIVE_CHOICE);
        let mut out = Vec::with_capacity(FIXED + metadata.len());
        out.extend(MAGIC);
        let version = if self.several_texts { TRACE_VERSION } else { ONE_TEXT };
        out.extend(version.to_le_bytes());
        out.extend(BYTE_ORDER.to_le_bytes());
        for number in [self.layers, self.experts, self.top_k] {
            out.extend((number as u16).to_le_bytes());
        }
        out.extend(flags.to_le_bytes());
        out.extend((metadata.len() as u32).to_le_bytes());
        out.extend(crc32c::crc32c(&metadata).to_le_bytes());
        out.resize(CRC_AT, 0);
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        out.extend(metadata);
        out
    }

    /// Reads the fixed part.
    pub(crate) fn parse_fixed(path: &Path, bytes: &[u8; FIXED]) -> Result<Fixed, TraceError> {
        if bytes[..MAGIC.len()] != MAGIC {
            return Err(TraceError::NotATrace(path.to_owned()));
        }
        // The version before the checksum: a later one may have it elsewhere.
        let found = u32_at(bytes, 8);
        if !(ONE_TEXT..=TRACE_VERSION).contains(&found) {
            return Err(TraceError::Version { path: path.to_owned(), found, known: TRACE_VERSION });
        }
        let damaged = |detail: String| TraceError::Damaged { path: path.to_owned(), offset: 0, detail };
        if crc32c::crc32c(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT) {
            return Err(damaged("the header does not match its checksum".to_owned()));
        }
        if u32_at(bytes, 12) != BYTE_ORDER {
            return Err(damaged("written in another byte order".to_owned()));
        }
        let number = |at, what, max| match usize::from(u16_at(bytes, at)) {
            n if (1..=max).contains(&n) => Ok(n),
            n => Err(damaged(format!("{n} {what}; 1 to {max} are possible"))),
        };
        let layers = number(16, "layers", MAX_LAYERS)?;
        let experts = number(18, "experts per layer", MAX_EXPERTS)?;
        let top_k = number(20, "experts per token", MAX_TOP_K.min(experts))?;
        let flags = u16_at(bytes, 22);
        let metadata_bytes = u32_at(bytes, 24) as usize;
        if flags & !(FULL_SCORES | WHOLE_HOT_SETS | NATIVE_CHOICE) != 0
            || bytes[32..CRC_AT].iter().any(|&byte| byte != 0)
        {
            return Err(damaged("reserved fields of the header are not zero".to_owned()));
        }
        if metadata_bytes as u64 > MAX_TRACE_METADATA.0 {
            return Err(damaged(format!(
                "{metadata_bytes} bytes of metadata, more than {MAX_TRACE_METADATA}"
            )));
        }
        let header = Self {
            model: String::new(),
            architecture: String::new(),
            layers,
            experts,
            top_k,
            norm_topk: false,
            full_scores: flags & FULL_SCORES != 0,
            whole_hot_sets: flags & WHOLE_HOT_SETS != 0,
            native_choice: flags & NATIVE_CHOICE != 0,
            several_texts: found > ONE_TEXT,
            expert_bytes: Vec::new(),
            options: BTreeMap::new(),
        };
        Ok(Fixed { header, metadata_bytes, metadata_crc: u32_at(bytes, 28) })
    }
}

impl Fixed {
    /// Completes the header from the metadata that follows.
    pub fn with_metadata(self, path: &Path, bytes: &[u8]) -> Result<TraceHeader, TraceError> {
        let damaged =
            |detail: String| TraceError::Damaged { path: path.to_owned(), offset: FIXED as u64, detail };
        if crc32c::crc32c(bytes) != self.metadata_crc {
            return Err(damaged("the metadata do not match their checksum".to_owned()));
        }
        let metadata: Metadata =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("metadata: {error}")))?;
        let sizes = metadata.expert_bytes.len();
        if sizes != self.header.layers {
            let layers = self.header.layers;
            return Err(damaged(format!("sizes of experts for {sizes} layers, the trace has {layers}")));
        }
        Ok(TraceHeader {
            model: metadata.model,
            architecture: metadata.architecture,
            norm_topk: metadata.norm_topk,
            expert_bytes: metadata.expert_bytes,
            options: metadata.options,
            ..self.header
        })
    }
}
