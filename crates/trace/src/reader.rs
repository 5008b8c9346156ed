//! Reading a trace, pass by pass, up to the last whole block.

use std::collections::VecDeque;
use std::fs::File;
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
    /// Bytes read in whole sections.
    offset: u64,
    blocks: u32,
    records: VecDeque<Record>,
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
        let file = File::open(path).map_err(TraceError::io("open", path))?;
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
            blocks: 0,
            records: VecDeque::new(),
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
            let Some(record) = self.records.pop_front() else {
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

    /// Puts a record where it belongs.
    fn place(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Pass { phase, position, tokens } => {
                self.give_up_pass();
                self.pass = Some(Pass { phase, position, tokens, visits: Vec::new() });
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
        self.unfinished += self.pass.take().map_or(0, |pass| pass.tokens.len());
    }

    /// Reads a block's records; says whether there was a whole one.
    fn next_block(&mut self) -> Result<bool, TraceError> {
        let mut head = [0; BLOCK_HEAD];
        let read = fill(&mut self.input, &mut head, &self.path)?;
        if read < head.len() {
            return self.cut(read);
        }
        let head = BlockHead::parse(self.blocks, &head).map_err(|detail| self.damaged(detail))?;
        let mut payload = vec![0; head.bytes];
        let read = fill(&mut self.input, &mut payload, &self.path)?;
        if read < payload.len() {
            return self.cut(BLOCK_HEAD + read);
        }
        let records = self.read_records(head, &payload).map_err(|detail| self.damaged(detail))?;
        if matches!(records.back(), Some(Record::End { .. }))
            && fill(&mut self.input, &mut [0], &self.path)? > 0
        {
            return Err(self.damaged("bytes behind the end of the trace".to_owned()));
        }
        self.records = records;
        self.offset += (BLOCK_HEAD + payload.len()) as u64;
        self.blocks += 1;
        Ok(true)
    }

    fn read_records(&self, head: BlockHead, payload: &[u8]) -> Result<VecDeque<Record>, String> {
        head.check(payload)?;
        let (mut source, mut records) = (Records::new(payload), VecDeque::new());
        while let Some(record) = source.next(&self.header)? {
            if matches!(records.back(), Some(Record::End { .. })) {
                return Err("a record behind the end of the trace".to_owned());
            }
            records.push_back(record);
        }
        Ok(records)
    }

    fn cut(&mut self, lost: usize) -> Result<bool, TraceError> {
        self.ending = Some(Ending::Cut { readable: self.offset, lost: lost as u64 });
        Ok(false)
    }

    fn damaged(&self, detail: String) -> TraceError {
        TraceError::Damaged { path: self.path.clone(), offset: self.offset, detail }
    }
}

fn last_visit_is_whole(pass: &Pass) -> bool {
    pass.visits.last().is_none_or(|visit| visit.layer_tokens.len() == pass.tokens.len())
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
