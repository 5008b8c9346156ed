//! Flags that users of llama.cpp type: short ones of several letters, and those that there are none of here.

use std::ffi::OsString;

/// Flags of several letters after one dash; clap knows only one, and would take the others for its value.
const SHORT_NAMES: [(&str, &str); 13] = [
    ("-np", "--parallel"),
    ("-ub", "--ubatch-size"),
    ("-ctk", "--cache-type-k"),
    ("-ctv", "--cache-type-v"),
    ("-sys", "--system"),
    ("-sp", "--special"),
    ("-jf", "--json-schema-file"),
    ("-ngl", "--n-gpu-layers"),
    ("-fa", "--flash-attn"),
    ("-cnv", "--conversation"),
    ("-no-cnv", "--no-conversation"),
    ("-ncmoe", "--n-cpu-moe"),
    ("-hf", "--hf-repo"),
];

/// The arguments with short names written out.
pub fn with_long_names(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.map(|arg| match SHORT_NAMES.iter().find(|(short, _)| arg == *short) {
        Some((_, long)) => OsString::from(long),
        None => arg,
    })
}

const SAMPLERS: &str = "tokens are chosen by logit biases, penalties, --top-k, --top-p, --min-p and --temp";
const GRAMMARS: &str = "answers are not held to a grammar";
const PROCESSOR: &str = "it computes on the processor";

/// What `hotset run` does instead.
const ABSENT: [(&str, &str); 52] = [
    ("--typical", SAMPLERS),
    ("--typical-p", SAMPLERS),
    ("--tfs", SAMPLERS),
    ("--top-nsigma", SAMPLERS),
    ("--top-n-sigma", SAMPLERS),
    ("--mirostat", SAMPLERS),
    ("--mirostat-lr", SAMPLERS),
    ("--mirostat-ent", SAMPLERS),
    ("--mirostat-eta", SAMPLERS),
    ("--mirostat-tau", SAMPLERS),
    ("--dry-multiplier", SAMPLERS),
    ("--dry-base", SAMPLERS),
    ("--dry-allowed-length", SAMPLERS),
    ("--dry-penalty-last-n", SAMPLERS),
    ("--dry-sequence-breaker", SAMPLERS),
    ("--xtc-probability", SAMPLERS),
    ("--xtc-threshold", SAMPLERS),
    ("--dynatemp-range", SAMPLERS),
    ("--dynatemp-exp", SAMPLERS),
    ("--adaptive-target", SAMPLERS),
    ("--adaptive-decay", SAMPLERS),
    ("--samplers", SAMPLERS),
    ("--sampler-seq", SAMPLERS),
    ("--sampling-seq", SAMPLERS),
    ("--backend-sampling", SAMPLERS),
    ("--penalize-nl", "newlines are penalised like other tokens"),
    ("--no-penalize-nl", "--logit-bias spares a token"),
    ("--grammar", GRAMMARS),
    ("--grammar-file", GRAMMARS),
    ("--json-schema", GRAMMARS),
    ("--json-schema-file", GRAMMARS),
    ("-j", GRAMMARS),
    ("--n-gpu-layers", PROCESSOR),
    ("--gpu-layers", PROCESSOR),
    ("--n-cpu-moe", "--memory says how much is held, experts included"),
    ("--cpu-moe", "--memory says how much is held, experts included"),
    ("--flash-attn", "attention is computed in blocks always"),
    ("--no-mmap", "nothing is mapped; --memory says how much is held"),
    ("--mmap", "nothing is mapped; --memory says how much is held"),
    ("--batch-size", "--ubatch-size says how many prompt tokens are computed together"),
    ("--conversation", "without a prompt a chat begins on a terminal"),
    ("--no-conversation", "a prompt is continued as it stands unless --chat is given"),
    ("--interactive", "without a prompt a chat begins on a terminal"),
    ("--interactive-first", "without a prompt a chat begins on a terminal"),
    ("--hf-repo", "it downloads nothing: name a file or directory"),
    ("--jinja", "chat templates always are"),
    ("--no-jinja", "chat templates always are Jinja"),
    ("--keep", "a full context ends the answer"),
    ("--context-shift", "a full context ends the answer"),
    ("--no-context-shift", "a full context always ends the answer"),
    ("--no-display-prompt", "the prompt is shown on a terminal only; -q leaves out the plan and the figures"),
    ("--special", "control tokens are never printed"),
];

/// What to tell whoever types a flag of llama.cpp's that is none here.
pub fn absent(flag: &str) -> Option<String> {
    let name = flag.split('=').next().unwrap_or(flag);
    ABSENT.iter().find(|(absent, _)| *absent == name).map(|(_, why)| format!("hotset has no {name}: {why}"))
}
