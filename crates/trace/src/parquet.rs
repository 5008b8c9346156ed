//! A trace to Parquet: one row for every layer-token, lists for what has several values.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{
    BoolType, DataType, FixedLenByteArray, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use half::f16;
use hotset_outputs::PartialFile;

use crate::{Pass, TraceError, TraceSource, Visit};

/// Columns in the order they are written. The stall and the reads of a visit stand in the row of the first
/// token of a pass and are 0 in the others, so that they may be summed.
const SCHEMA: &str = "message trace {
    required int64 step;
    required int32 position;
    optional int32 token;
    required int32 phase;
    required int32 layer;
    required int32 demand_reads;
    required int32 late_reads;
    required int32 ahead_reads;
    required int64 stall_ns;
    required group experts (LIST) { repeated group list { required int32 element; } }
    required group weights (LIST) { repeated group list { required float element; } }
    required group hot (LIST) { repeated group list { required boolean element; } }
    required group probabilities (LIST) {
        repeated group list { required fixed_len_byte_array(2) element (FLOAT16); }
    }
    required int32 sequence;
}";

/// Layer-tokens of a row group: with 128 experts some 20 MB.
const GROUP: usize = 1 << 16;

/// Writes all passes that are left of a trace into a file claimed for them; gives the tokens written.
///
/// # Errors
/// If the trace is damaged or the file cannot be written.
pub fn export_parquet(source: &mut TraceSource, file: PartialFile) -> Result<u64, TraceError> {
    let path = &file.target().shown().to_owned();
    let refused = |source| TraceError::Parquet { path: path.to_owned(), source };
    let schema = Arc::new(parse_message_type(SCHEMA).map_err(refused)?);
    // Numbers that hardly repeat: dictionaries would be built and thrown away.
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(refused)?;
    let (mut rows, mut step) = (Rows::default(), 0);
    while let Some(pass) = source.next_pass()? {
        rows.add(&pass, step);
        step += pass.rows.len() as i64;
        if rows.step.len() >= GROUP {
            rows.write(&mut writer).map_err(refused)?;
        }
    }
    rows.write(&mut writer).map_err(refused)?;
    writer.into_inner().map_err(refused)?.commit()?;
    Ok(step as u64)
}

/// A column of lists: values, and where lists begin.
struct Lists<T> {
    values: Vec<T>,
    /// 1 for a value, 0 for an empty list.
    definition: Vec<i16>,
    /// 0 where a list begins, 1 inside it.
    repetition: Vec<i16>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { values: Vec::new(), definition: Vec::new(), repetition: Vec::new() }
    }
}

impl<T> Lists<T> {
    fn push(&mut self, list: impl Iterator<Item = T>) {
        let before = self.values.len();
        self.values.extend(list);
        let added = self.values.len() - before;
        self.definition.extend(std::iter::repeat_n(1, added));
        self.repetition.extend((0..added).map(|i| i16::from(i > 0)));
        if added == 0 {
            self.definition.push(0);
            self.repetition.push(0);
        }
    }
}

/// A row group in memory, column by column.
#[derive(Default)]
struct Rows {
    step: Vec<i64>,
    sequence: Vec<i32>,
    position: Vec<i32>,
    token: Vec<i32>,
    /// 1 where the token is known.
    token_known: Vec<i16>,
    phase: Vec<i32>,
    layer: Vec<i32>,
    /// Demand, late, prefetch.
    reads: [Vec<i32>; 3],
    stall: Vec<i64>,
    experts: Lists<i32>,
    weights: Lists<f32>,
    hot: Lists<bool>,
    probabilities: Lists<FixedLenByteArray>,
}

impl Rows {
    fn add(&mut self, pass: &Pass, step: i64) {
        for (token, row) in pass.rows.iter().enumerate() {
            for visit in &pass.visits {
                self.step.push(step + token as i64);
                self.sequence.push(i32::from(row.sequence.0));
                self.position.push(row.position as i32);
                self.token.extend(row.token.map(|id| id as i32));
                self.token_known.push(i16::from(row.token.is_some()));
                self.phase.push(row.phase as i32);
                self.add_visit(visit, token);
            }
        }
    }

    fn add_visit(&mut self, visit: &Visit, token: usize) {
        let first = token == 0;
        let reads = [visit.reads.demand, visit.reads.late, visit.reads.prefetch];
        for (column, number) in self.reads.iter_mut().zip(reads) {
            column.push(if first { i32::from(number) } else { 0 });
        }
        self.stall.push(if first { visit.stall.as_nanos() as i64 } else { 0 });
        self.layer.push(i32::from(visit.layer.0));
        let layer_token = &visit.layer_tokens[token];
        let chosen = layer_token.chosen.iter();
        self.experts.push(chosen.clone().map(|choice| i32::from(choice.expert.0)));
        self.weights.push(chosen.clone().map(|choice| choice.weight));
        self.hot.push(chosen.map(|choice| visit.is_hot(choice.expert)));
        let bytes = |p: &f16| FixedLenByteArray::from(p.to_le_bytes().to_vec());
        self.probabilities.push(layer_token.probabilities.iter().map(bytes));
    }

    /// Writes a row group and forgets it; nothing when there are no rows.
    fn write(&mut self, writer: &mut SerializedFileWriter<PartialFile>) -> Result<(), ParquetError> {
        if self.step.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(self);
        let mut group = writer.next_row_group()?;
        column::<Int64Type>(&mut group, &rows.step, None, None)?;
        column::<Int32Type>(&mut group, &rows.position, None, None)?;
        column::<Int32Type>(&mut group, &rows.token, Some(&rows.token_known), None)?;
        column::<Int32Type>(&mut group, &rows.phase, None, None)?;
        column::<Int32Type>(&mut group, &rows.layer, None, None)?;
        for reads in &rows.reads {
            column::<Int32Type>(&mut group, reads, None, None)?;
        }
        column::<Int64Type>(&mut group, &rows.stall, None, None)?;
        lists::<Int32Type>(&mut group, &rows.experts)?;
        lists::<FloatType>(&mut group, &rows.weights)?;
        lists::<BoolType>(&mut group, &rows.hot)?;
        lists::<FixedLenByteArrayType>(&mut group, &rows.probabilities)?;
        column::<Int32Type>(&mut group, &rows.sequence, None, None)?;
        group.close()?;
        Ok(())
    }
}

fn lists<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, PartialFile>,
    lists: &Lists<T::T>,
) -> Result<(), ParquetError> {
    column::<T>(group, &lists.values, Some(&lists.definition), Some(&lists.repetition))
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, PartialFile>,
    values: &[T::T],
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut writer =
        group.next_column()?.ok_or_else(|| ParquetError::General("too few columns".to_owned()))?;
    writer.typed::<T>().write_batch(values, definition, repetition)?;
    writer.close()
}
