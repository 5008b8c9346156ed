//! Reading a trace, pass by pass, up to the last whole block.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotset_outputs::PARTIAL_MARK;

use crate::block::{BLOCK_HEAD, BlockHead};
use crate::header::{FIXED, MAGIC};
use crate::record::{Record, Records};
use crate::{Pass, TraceError, TraceHeader};

/// How a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its writer wanted.
    Whole {
        /// Times the run waited because the disk was too slow for the trace.
        waits: u64,
        /// How long in all.
        waited: Duration,
    },
    /// The writer was killed, or the file was cut.
    Cut {
        /// Bytes of whole blocks.
        readable: u64,
        /// Bytes behind them.
        lost: u64,
    },
}

/// See the module's text.
pub struct TraceReader {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    header: TraceHeader,
    /// Where the block that is being read begins.
    offset: u64,
    /// Bytes read in whole sections.
    end: u64,
    blocks: u32,
    /// The block that is being read; its records are taken one by one, for they take many times their bytes.
    block: Vec<u8>,
    /// Bytes of it that were taken.
    taken: usize,
    /// The pass that is being put together.
    pass: Option<Pass>,
    unfinished: usize,
    ending: Option<Ending>,
}

impl TraceReader {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// If it is no trace, of another version, or damaged.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = hotset_inputs::open(path).map_err(TraceError::io("open", path))?;
        Self::new(BufReader::with_capacity(1 << 20, file), path)
    }

    /// The same from anything; `path` names it in errors.
    pub fn new(mut input: impl Read + Send + 'static, path: &Path) -> Result<Self, TraceError> {
        let mut fixed = [0; FIXED];
        let read = fill(&mut input, &mut fixed, path)?;
        if read < fixed.len() && !fixed.starts_with(&MAGIC) {
            return Err(TraceError::NotATrace(path.to_owned()));
        }
        let cut = |detail: &str| TraceError::Damaged {
            path: path.to_owned(),
            offset: 0,
            detail: detail.to_owned(),
        };
        if read < fixed.len() {
            return Err(cut("cut inside the header: nothing can be read"));
        }
        let unfinished = fixed.starts_with(&PARTIAL_MARK);
        if unfinished {
            // What a killed run leaves differs from a trace in its first bytes only.
            fixed[..MAGIC.len()].copy_from_slice(&MAGIC);
        }
        let fixed = TraceHeader::parse_fixed(path, &fixed).map_err(|error| match unfinished {
            true => TraceError::NotATrace(path.to_owned()),
            false => error,
        })?;
        let mut metadata = vec![0; fixed.metadata_bytes];
        if fill(&mut input, &mut metadata, path)? < metadata.len() {
            return Err(cut("cut inside the metadata: nothing can be read"));
        }
        Ok(Self {
            path: path.to_owned(),
            input: Box::new(input),
            header: fixed.with_metadata(path, &metadata)?,
            offset: (FIXED + metadata.len()) as u64,
            end: (FIXED + metadata.len()) as u64,
            blocks: 0,
            block: Vec::new(),
            taken: 0,
            pass: None,
            unfinished: 0,
            ending: None,
        })
    }

    /// What holds for the whole trace.
    pub fn header(&self) -> &TraceHeader {
        &self.header
    }

    /// How it ended; `None` before the last pass was read.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Tokens so far of passes that were not computed, or not recorded, to their end; they are left out.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// The next whole pass, or `None` at the end.
    ///
    /// # Errors
    /// If bytes were altered. What was read before is sound.
    pub fn next_pass(&mut self) -> Result<Option<Pass>, TraceError> {
        loop {
            let Some(record) = self.next_record()? else {
                if self.ending.is_some() || !self.next_block()? {
                    self.give_up_pass();
                    return Ok(None);
                }
                continue;
            };
            self.place(record).map_err(|detail| self.damaged(detail))?;
            if self.pass.as_ref().is_some_and(|pass| is_whole(pass, self.header.layers)) {
                return Ok(self.pass.take());
            }
        }
    }

    /// The next record of the block.
    fn next_record(&mut self) -> Result<Option<Record>, TraceError> {
        let mut source = Records::new(&self.block[self.taken..]);
        let record = source.next(&self.header).map_err(|detail| self.damaged(detail))?;
        self.taken = self.block.len() - source.left();
        if matches!(record, Some(Record::End { .. })) {
            if self.taken < self.block.len() {
                return Err(self.damaged("a record behind the end of the trace".to_owned()));
            }
            if fill(&mut self.input, &mut [0], &self.path)? > 0 {
                return Err(self.damaged("bytes behind the end of the trace".to_owned()));
            }
        }
        Ok(record)
    }

    /// Puts a record where it belongs.
    fn place(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Pass(rows) => {
                self.give_up_pass();
                self.pass = Some(Pass { rows, visits: Vec::new() });
            }
            Record::Visit(visit) => {
                let pass = self.pass.as_mut().ok_or("a visit without a pass")?;
                let (expected, complete) = (pass.visits.len(), last_visit_is_whole(pass));
                if visit.layer.index() != expected || !complete {
                    return Err(format!("a visit of layer {} where {expected} is next", visit.layer));
                }
                pass.visits.push(visit);
            }
            Record::LayerToken(layer_token) => {
                let pass = self.pass.as_mut().ok_or("a layer-token without a pass")?;
                if last_visit_is_whole(pass) {
                    return Err("a layer-token without a visit".to_owned());
                }
                let visit = pass.visits.last_mut().expect("an unfinished visit exists");
                visit.layer_tokens.push(layer_token);
            }
            Record::End { waits, waited, .. } => self.ending = Some(Ending::Whole { waits, waited }),
        }
        Ok(())
    }

    fn give_up_pass(&mut self) {
        self.unfinished += self.pass.take().map_or(0, |pass| pass.rows.len());
    }

    /// Reads a block; says whether there was a whole one.
    fn next_block(&mut self) -> Result<bool, TraceError> {
        (self.offset, self.taken) = (self.end, 0);
        self.block.clear();
        let mut head = [0; BLOCK_HEAD];
        let read = fill(&mut self.input, &mut head, &self.path)?;
        if read < head.len() {
            return self.cut(read);
        }
        let head = BlockHead::parse(self.blocks, &head).map_err(|detail| self.damaged(detail))?;
        self.block.resize(head.bytes, 0);
        let read = fill(&mut self.input, &mut self.block, &self.path)?;
        if read < head.bytes {
            self.block.clear();
            return self.cut(BLOCK_HEAD + read);
        }
        head.check(&self.block).map_err(|detail| self.damaged(detail))?;
        self.end += (BLOCK_HEAD + head.bytes) as u64;
        self.blocks += 1;
        Ok(true)
    }

    fn cut(&mut self, lost: usize) -> Result<bool, TraceError> {
        self.ending = Some(Ending::Cut { readable: self.end, lost: lost as u64 });
        Ok(false)
    }

    fn damaged(&self, detail: String) -> TraceError {
        TraceError::Damaged { path: self.path.clone(), offset: self.offset, detail }
    }
}

fn last_visit_is_whole(pass: &Pass) -> bool {
    pass.visits.last().is_none_or(|visit| visit.layer_tokens.len() == pass.rows.len())
}

fn is_whole(pass: &Pass, layers: usize) -> bool {
    pass.visits.len() == layers && last_visit_is_whole(pass)
}

/// Reads until `out` is full or the input ends; gives the bytes read.
fn fill(input: &mut impl Read, out: &mut [u8], path: &Path) -> Result<usize, TraceError> {
    let mut read = 0;
    while read < out.len() {
        match input.read(&mut out[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TraceError::io("read", path)(error)),
        }
    }
    Ok(read)
}
