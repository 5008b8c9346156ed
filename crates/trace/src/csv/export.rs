//! A trace to CSV: its picks, without the probabilities of the other experts.

use std::io::{self, BufWriter, Write};

use hotset_outputs::PartialFile;

use super::{COLUMNS, FIRST_LINE};
use crate::{Pass, TraceError, TraceHeader, TraceSource};

/// Writes all passes that are left of a trace into a file claimed for them; gives the tokens written.
///
/// # Errors
/// If the trace is damaged or the file cannot be written.
pub fn export_csv(source: &mut TraceSource, file: PartialFile) -> Result<u64, TraceError> {
    let path = &file.target().shown().to_owned();
    let mut rows = Rows { out: BufWriter::new(file), turn: 0, step: 0, last_position: None };
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
    /// Contexts begun before this one.
    turn: u64,
    step: u64,
    last_position: Option<u32>,
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

    fn pass(&mut self, header: &TraceHeader, pass: &Pass) -> io::Result<()> {
        if self.last_position.is_some_and(|last| pass.position <= last) {
            self.turn += 1;
        }
        self.last_position = Some(pass.position + pass.tokens.len() as u32 - 1);
        let phase = u8::from(pass.phase.is_decoding());
        for token in 0..pass.tokens.len() {
            for visit in &pass.visits {
                for (slot, choice) in visit.layer_tokens[token].chosen.iter().enumerate() {
                    let (layer, expert) = (visit.layer.index(), choice.expert);
                    writeln!(
                        self.out,
                        "{},{phase},{},{layer},{slot},{},{},{},{}",
                        self.turn,
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
