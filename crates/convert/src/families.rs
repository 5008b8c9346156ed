//! Families of experts, from the router of a checkpoint of any format.

use hotset_base::{Families, LayerId};
use hotset_format::store::tensor_seed;
use hotset_format::{Checkpoint, read_extent};
use hotset_kernels::dequantize_row;
use hotset_policy::families::{Affinity, FAMILY_SIZE, cluster};
use rayon::prelude::*;

use crate::PackError;
use crate::pack::check_source;

/// How alike the router rows of one layer are.
///
/// # Errors
/// If the router can not be read, or is not what its checksum says.
pub fn router_affinity(source: &Checkpoint, layer: LayerId) -> Result<Affinity, PackError> {
    let router = &source.dense.layers[layer.index()].router;
    let name = format!("blk.{}.ffn_gate_inp.weight", layer.0);
    let mut bytes = vec![0; router.extent.bytes.index()];
    read_extent(&source.files, &router.extent, &mut bytes)?;
    check_source(&name, router, crc32c::crc32c_append(tensor_seed(&name), &bytes))?;
    let mut rows = vec![0.0; router.rows * router.cols];
    let row_bytes = bytes.len() / router.rows;
    for (wide, row) in rows.chunks_exact_mut(router.cols).zip(bytes.chunks_exact(row_bytes)) {
        dequantize_row(router.ty, row, wide);
    }
    Ok(Affinity::cosine(&rows, router.cols))
}

/// Of every layer: those that the source has, or else those of its routers.
///
/// # Errors
/// As [`router_affinity`].
pub fn families(source: &Checkpoint) -> Result<Vec<Families>, PackError> {
    if !source.families.is_empty() {
        return Ok(source.families.clone());
    }
    let layers = (0..source.config.layers as u16).into_par_iter().map(LayerId);
    layers.map(|layer| router_affinity(source, layer).map(|rows| cluster(&rows, FAMILY_SIZE))).collect()
}
