//! Why a trace could not be replayed.

use hotset_policy::route::NotFinite;
use hotset_trace::TraceError;

/// See the module's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The trace could not be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Nothing to count.
    #[error("the trace has no decoded tokens (it is of a prompt or a scored text)")]
    NothingDecoded,
    /// Nothing to count.
    #[error("the trace has no whole token")]
    Empty,
    /// Nothing is left to count.
    #[error("{warm} tokens that are not counted leave none: {tokens} are replayed")]
    AllWarm {
        /// Tokens not counted.
        warm: usize,
        /// Tokens there are.
        tokens: usize,
    },
    /// A routing policy chooses from all scores.
    #[error("the trace has the chosen experts only, and a routing policy needs the scores of all")]
    NeedsScores,
    /// The clairvoyant cache must know what comes, but a router decides by what is hot.
    #[error("belady must know the demand in advance, and a routing policy makes it as it goes")]
    NeedsKnownDemand,
    /// A router refused its scores.
    #[error(transparent)]
    Router(#[from] NotFinite),
}
