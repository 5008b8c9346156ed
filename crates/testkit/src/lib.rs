//! Tiny random models in every format, for tests.
#![forbid(unsafe_code)]
