//! Names of things, as types: a layer number can not be passed where an expert number is meant.

use std::fmt;

/// A transformer layer, counted from 0 at the input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LayerId(pub u16);

/// An expert inside one layer, counted from 0 in the router's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExpertId(pub u16);

/// One expert of the whole model: the unit that is paged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExpertKey {
    /// The layer the expert belongs to.
    pub layer: LayerId,
    /// The expert inside that layer.
    pub expert: ExpertId,
}

/// One of the files a model consists of (a shard, a split, or the store itself).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u16);

impl LayerId {
    /// The layer as an index into per-layer tables.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ExpertId {
    /// The expert as an index into per-expert tables of one layer.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl FileId {
    /// The file as an index into the model's file list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ExpertKey {
    /// Short constructor: `ExpertKey::new(LayerId(3), ExpertId(17))`.
    pub fn new(layer: LayerId, expert: ExpertId) -> Self {
        Self { layer, expert }
    }

    /// Position in a layer-major table of all experts, `experts` of them in every layer.
    pub fn flat(self, experts: usize) -> usize {
        self.layer.index() * experts + self.expert.index()
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

impl fmt::Display for ExpertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{}", self.0)
    }
}

impl fmt::Display for ExpertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.layer, self.expert)
    }
}
