//! Every limit of the project in one place. Each is enforced by the code that reads or makes what it bounds:
//! a test sees to it that none is forgotten, and the tests of that code go to the limits that can be reached.

use crate::Bytes;

/// Layers of a model.
pub const MAX_LAYERS: usize = 512;
/// Experts of one layer.
pub const MAX_EXPERTS: usize = 1024;
/// Experts used per token.
pub const MAX_TOP_K: usize = 64;
/// Hidden size, and any other width of a matrix row except the vocabulary.
pub const MAX_WIDTH: usize = 1 << 18;
/// Attention heads of one layer.
pub const MAX_HEADS: usize = 1024;
/// Tokens of a vocabulary.
pub const MAX_VOCAB: usize = 1 << 21;
/// Tokens of context a session may be opened with.
pub const MAX_CONTEXT: usize = 1 << 20;
/// Texts under way at once, each with a KV cache of its own.
pub const MAX_SEQUENCES: usize = 64;
/// Files one model may consist of.
pub const MAX_FILES: usize = 4096;
/// Tensors of one model over all its files: several times what the largest model there is has (some 150,000).
pub const MAX_TENSORS: usize = 1 << 19;
/// Dimensions of one tensor.
pub const MAX_DIMS: usize = 4;
/// Length of a tensor or metadata key name.
pub const MAX_NAME_BYTES: usize = 1024;
/// Key-value pairs in a GGUF header.
pub const MAX_METADATA_PAIRS: usize = 1 << 16;
/// Nesting of arrays in GGUF metadata.
pub const MAX_ARRAY_DEPTH: usize = 4;
/// Header of one GGUF file: metadata and tensor table.
pub const MAX_GGUF_HEADER: Bytes = Bytes::mib(128);
/// Header of a safetensors file (the format's own limit).
pub const MAX_SAFETENSORS_HEADER: Bytes = Bytes(100_000_000);
/// config.json, generation_config.json and tokenizer_config.json.
pub const MAX_CONFIG_FILE: Bytes = Bytes::mib(16);
/// tokenizer.json and model.safetensors.index.json.
pub const MAX_TABLE_FILE: Bytes = Bytes::mib(256);
/// Bytes of all token texts of a vocabulary together.
pub const MAX_VOCAB_BYTES: Bytes = Bytes::mib(128);
/// Length of one token's text.
pub const MAX_TOKEN_BYTES: usize = 1 << 16;
/// Source of a chat template.
pub const MAX_TEMPLATE: Bytes = Bytes::mib(1);
/// Blocks, brackets and expressions of a chat template inside each other.
pub const MAX_TEMPLATE_NESTING: usize = 200;
/// Parts of one expression of a chat template in a row (`a.b.c`, `1+1+1`), which become a tree as deep.
pub const MAX_TEMPLATE_DEPTH: usize = 400;
/// Names of a chat template's scopes, counted once for every branch of an `if` that may set them.
pub const MAX_TEMPLATE_BRANCHES: usize = 1 << 18;
/// Statements and expressions of a chat template that are being evaluated at one time; a call of a
/// macro takes about eight.
pub const MAX_RENDER_DEPTH: usize = 1600;
/// Nesting of a value in a chat template.
pub const MAX_VALUE_DEPTH: usize = 256;
/// Numbers of a `range` in a chat template (the limit of Jinja2's sandbox).
pub const MAX_TEMPLATE_RANGE: usize = 100_000;
/// A pattern given to `strftime_now`.
pub const MAX_TIME_PATTERN: usize = 1024;
/// Variables given to a chat template as JSON.
pub const MAX_TEMPLATE_VARIABLES: Bytes = Bytes::mib(1);
/// Work of one rendering of a chat template: 64 units for a step, one for a byte.
pub const TEMPLATE_WORK: u64 = 1 << 30;
/// Memory of the values of one rendering of a chat template.
pub const TEMPLATE_MEMORY: Bytes = Bytes::mib(192);
/// Text that one rendering of a chat template may produce.
pub const MAX_RENDERED: Bytes = Bytes::mib(16);
/// A prompt or a text to score.
pub const MAX_PROMPT: Bytes = Bytes::mib(64);
/// Texts that end an answer.
pub const MAX_STOP_STRINGS: usize = 64;
/// Length of one of them: so much of an answer may be held back.
pub const MAX_STOP_BYTES: usize = 1024;
/// Tokens whose logits a user may shift.
pub const MAX_LOGIT_BIASES: usize = 4096;
/// Combining marks behind one letter, or spaces behind a line break, of which no two neighbours are alike:
/// they are held until it is known what they belong to.
pub const MAX_HELD_RUNS: usize = 1 << 20;
/// Threads of the compute pool.
pub const MAX_THREADS: usize = 256;
/// Reads in flight at once.
pub const MAX_READS_IN_FLIGHT: usize = 64;
/// Tokens of one prefill chunk.
pub const MAX_CHUNK: usize = 512;
/// Layers the pager looks ahead.
pub const MAX_LOOKAHEAD: usize = 2;
/// Layers that are predicted by copies of their routers that learn: a token moves every number of each.
pub const MAX_PREDICTED_LAYERS: usize = 16;
/// Metadata of a trace: model name, sizes of experts, options.
pub const MAX_TRACE_METADATA: Bytes = Bytes::mib(1);
/// Payload of one block of a trace.
pub const MAX_TRACE_BLOCK: Bytes = Bytes::mib(1);
/// Position behind the last token of a pass in a trace; Parquet, which it is exported to, has no larger one.
pub const MAX_TRACE_POSITION: u64 = i32::MAX as u64;
/// Nanoseconds that a visit waited, in a trace; likewise.
pub const MAX_TRACE_STALL: u64 = i64::MAX as u64;
/// A routing trace in CSV.
pub const MAX_TRACE_CSV: Bytes = Bytes::mib(512);
/// Columns of it that are looked at.
pub const MAX_CSV_COLUMNS: usize = 256;
/// Contexts of a trust ledger.
pub const MAX_LEDGER_CONTEXTS: usize = 32;
/// A trust ledger in JSON.
pub const MAX_LEDGER_JSON: Bytes = Bytes::mib(256);
/// Tokens of a window of a trust ledger.
pub const MAX_LEDGER_WINDOW: u32 = 4096;
/// A line of an error or a warning, with its newline.
pub const MAX_ERROR_LINE: usize = 4096;
