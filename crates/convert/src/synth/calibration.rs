//! The numbers that make the routing of a synthetic model resemble the real one's. They were fitted:
//! first on simulated scores, then with `hotset synth --check` on written models. docs/synth.md has the figures.
//!
//! A router's score is a sum of four parts, whose sizes are given relative to that of the token:
//! popularity (the same for every token), the topic, the token (shared in part with the token
//! before), and what the layer since the last router added to the residual stream.

/// Words of one topic before the next begins.
pub(super) const RUN: usize = 384;
/// Topics there are; runs draw from them, so topics return.
pub(super) const TOPICS: usize = 24;

/// Size of the popularity.
pub(super) const POPULARITY: f32 = 0.48;
/// Size of the topic's part in a typical layer.
pub(super) const TOPIC: f32 = 0.99;
/// Spread over the layers of the logarithm of [`TOPIC`]: layers differ in how many experts a topic uses.
pub(super) const TOPIC_SPREAD: f32 = 0.3;
/// Share of the token before in a token's own direction: neighbours resemble each other.
pub(super) const ECHO: f32 = 0.37;
/// Size of the part that the router of the layer before cannot have seen.
pub(super) const SURPRISE: f32 = 0.21;
/// Factor on all parts: how far the weights of the chosen experts lie apart.
pub(super) const SHARPNESS: f32 = 0.65;

/// Size of what attention and experts add where they write, against 1 for every number of the
/// embedding.
pub(super) const ATTENTION_OUTPUT: f32 = 0.2;
pub(super) const EXPERT_OUTPUT: f32 = 0.45;
/// The same elsewhere: not nothing, and small enough that 48 layers do not bury the embedding.
pub(super) const QUIET: f32 = 0.02;
/// Numbers of the embedding where layers will write.
pub(super) const UNWRITTEN: f32 = 0.1;

/// Score of the planted next token; those of others have a spread of about 1 and more.
pub(super) const HEAD: f32 = 24.0;
