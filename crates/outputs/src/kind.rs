//! What the program writes, told by its first bytes.

/// What an unfinished file begins with, until its last moment. As long as the beginnings of our binary
/// formats, so that a trace that was cut off can be read in spite of it.
pub const PARTIAL_MARK: [u8; 8] = *b"HOTPRT\r\n";

/// First bytes of a store.
pub const STORE_MAGIC: [u8; 8] = *b"HOTSET\r\n";
/// First bytes of a trace.
pub const TRACE_MAGIC: [u8; 8] = *b"HOTTRC\r\n";
/// First bytes of a trust ledger.
pub const LEDGER_MAGIC: [u8; 8] = *b"HOTTRU\r\n";

/// Bytes by which a file is judged.
pub(crate) const HEAD: usize = 64;

/// A kind of file that some command writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// `pack`, `synth`.
    Store,
    /// `synth`.
    Gguf,
    /// `--trace`, `trace import`.
    Trace,
    /// `--trust-ledger`, `trust import`.
    TrustLedger,
    /// `trust export`.
    LedgerJson,
    /// `trace export --csv`.
    RoutingCsv,
    /// `trace export --parquet`.
    Parquet,
    /// `replay --csv`.
    ReplayCsv,
    /// `replay --svg`.
    ReplaySvg,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Store,
        Self::Gguf,
        Self::Trace,
        Self::TrustLedger,
        Self::LedgerJson,
        Self::RoutingCsv,
        Self::Parquet,
        Self::ReplayCsv,
        Self::ReplaySvg,
    ];

    /// What every file of this kind begins with.
    pub const fn begins(self) -> &'static [u8] {
        match self {
            Self::Store => &STORE_MAGIC,
            Self::Gguf => b"GGUF",
            Self::Trace => &TRACE_MAGIC,
            Self::TrustLedger => &LEDGER_MAGIC,
            Self::LedgerJson => b"{\"identity\":\"",
            Self::RoutingCsv => b"# route_trace v1\n",
            Self::Parquet => b"PAR1",
            Self::ReplayCsv => b"policy,experts_per_layer,router,",
            Self::ReplaySvg => b"<svg data-by=\"hotset replay\" ",
        }
    }

    /// For people, with its article.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "a packed store",
            Self::Gguf => "a GGUF file",
            Self::Trace => "a trace",
            Self::TrustLedger => "a trust ledger",
            Self::LedgerJson => "a trust ledger in JSON",
            Self::RoutingCsv => "a routing trace in CSV",
            Self::Parquet => "a Parquet file",
            Self::ReplayCsv => "a table of hotset replay",
            Self::ReplaySvg => "a picture of hotset replay",
        }
    }

    /// The kind whose files begin so.
    pub fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| head.starts_with(kind.begins()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_begins_as_another_or_as_an_unfinished_file() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::of(kind.begins()), Some(kind));
            assert!(kind.begins().len() <= HEAD && !PARTIAL_MARK.starts_with(kind.begins()));
        }
    }
}
