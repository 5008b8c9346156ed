//! A trace to CSV: its picks, without the probabilities of the other experts.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use hotset_base::SequenceId;
use hotset_outputs::PartialFile;

use super::{COLUMNS, FIRST_LINE};
use crate::{Pass, TraceError, TraceHeader, TraceRow, TraceSource};

/// Writes all passes that are left of a trace into a file claimed for them; gives the tokens written.
///
/// # Errors
/// If the trace is damaged or the file cannot be written.
pub fn export_csv(source: &mut TraceSource, file: PartialFile) -> Result<u64, TraceError> {
    let path = &file.target().shown().to_owned();
    let mut rows = Rows { out: BufWriter::new(file), step: 0, begun: 0, texts: BTreeMap::new() };
    rows.head(source.header()).map_err(TraceError::io("write", path))?;
    while let Some(pass) = source.next_pass()? {
        rows.pass(source.header(), &pass).map_err(TraceError::io("write", path))?;
    }
    let file = rows.out.into_inner().map_err(|error| TraceError::io("write", path)(error.into_error()))?;
    file.commit()?;
    Ok(rows.step)
}

struct Rows<W> {
    out: W,
    step: u64,
    /// Texts begun so far.
    begun: u64,
    /// The number of the text that each sequence is in, and its last position.
    texts: BTreeMap<SequenceId, (u64, u32)>,
}

impl<W: Write> Rows<W> {
    fn head(&mut self, header: &TraceHeader) -> io::Result<()> {
        // The names stand between spaces.
        let [model, architecture] =
            [&header.model, &header.architecture].map(|name| name.replace(char::is_whitespace, "_"));
        let TraceHeader { layers, experts, top_k, .. } = header;
        writeln!(self.out, "{FIRST_LINE}")?;
        writeln!(
            self.out,
            "# model={model} arch={architecture} n_layer={layers} n_expert={experts} n_expert_used={top_k}"
        )?;
        for (layer, bytes) in header.expert_bytes.iter().enumerate() {
            writeln!(self.out, "# layer={layer} expert_bytes={bytes}")?;
        }
        writeln!(self.out, "{},expert_bytes", COLUMNS.join(","))
    }

    /// Number of the text that the row belongs to: one begins where a sequence does not go on.
    fn turn(&mut self, row: &TraceRow) -> u64 {
        let known = self.texts.get(&row.sequence).filter(|(_, last)| row.position > *last);
        let turn = known.map_or(self.begun, |(turn, _)| *turn);
        self.begun = self.begun.max(turn + 1);
        self.texts.insert(row.sequence, (turn, row.position));
        turn
    }

    fn pass(&mut self, header: &TraceHeader, pass: &Pass) -> io::Result<()> {
        for (token, row) in pass.rows.iter().enumerate() {
            let (turn, phase) = (self.turn(row), u8::from(row.phase.is_decoding()));
            for visit in &pass.visits {
                for (slot, choice) in visit.layer_tokens[token].chosen.iter().enumerate() {
                    let (layer, expert) = (visit.layer.index(), choice.expert);
                    writeln!(
                        self.out,
                        "{turn},{phase},{},{layer},{slot},{},{},{},{}",
                        self.step,
                        expert.0,
                        choice.weight,
                        u8::from(visit.is_hot(expert)),
                        header.expert_bytes[layer],
                    )?;
                }
            }
            self.step += 1;
        }
        Ok(())
    }
}
