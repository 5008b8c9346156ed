//! Writing a trace while a model computes: records go into buffers, full buffers to a thread that writes.

use std::num::NonZeroU64;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use hotset_base::{Bytes, Choice};
use hotset_outputs::{OutputError, PartialFile};
use rustix::fs::{Advice, fadvise};

use crate::block::BlockHead;
use crate::record::{self, Probabilities, Scores};
use crate::ring::Ring;
use crate::{Pass, TraceError, TraceHeader, TraceRow, VisitHead};

/// Buffers: one being filled, one being written, the others to bridge a slow moment of the disk.
const BUFFERS: usize = 8;
/// Bytes of one: no record is longer.
const BUFFER: usize = 64 << 10;
/// A pass that ends with this much in the buffer hands it over: a run that is killed loses no more.
const WORTH_WRITING: usize = 16 << 10;
/// Bytes between two moments at which what was written is put on the disk and out of the page cache.
const SYNC_EVERY: u64 = 4 << 20;

/// The computing side: takes passes, visits and layer-tokens in their order. Allocates nothing.
pub struct Recorder {
    ring: Arc<Ring>,
    buffer: Vec<u8>,
    probabilities: Probabilities,
    several_texts: bool,
    tokens: u64,
    waits: u64,
    waited: Duration,
}

/// The writing side; ends with [`TraceFile::finish`] after its recorder was dropped.
pub struct TraceFile {
    writer: JoinHandle<Result<Sink, OutputError>>,
}

/// What became of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceTotals {
    /// Length of the file.
    pub bytes: Bytes,
}

impl Recorder {
    /// Begins the trace in a file that was claimed for it, and starts the thread that writes it.
    ///
    /// # Errors
    /// If its head cannot be written or the system refuses a thread.
    pub fn create(file: PartialFile, header: &TraceHeader) -> Result<(Self, TraceFile), TraceError> {
        debug_assert!(record::largest(header) <= BUFFER);
        let path = file.target().shown().to_owned();
        let mut sink = Sink { file, written: 0, synced: 0 };
        sink.write(&header.to_bytes())?;
        let ring = Arc::new(Ring::new(BUFFERS, BUFFER));
        let running = Arc::new(Barrier::new(2));
        let writer = {
            let (ring, running) = (Arc::clone(&ring), Arc::clone(&running));
            let write = move || {
                running.wait();
                write_blocks(&ring, sink)
            };
            std::thread::Builder::new().name("trace".to_owned()).spawn(write)
        };
        let writer = writer.map_err(TraceError::io("start a thread to write", &path))?;
        // What a thread allocates as it begins must not fall into decoding.
        running.wait();
        let recorder = Self {
            buffer: ring.take_empty().0,
            probabilities: Probabilities::new(header.experts),
            several_texts: header.several_texts,
            ring,
            tokens: 0,
            waits: 0,
            waited: Duration::ZERO,
        };
        Ok((recorder, TraceFile { writer }))
    }

    /// Rows are about to be computed together; of one text, unless the header says that there are several.
    pub fn pass(&mut self, rows: impl ExactSizeIterator<Item = TraceRow>) {
        if self.buffer.len() >= WORTH_WRITING {
            self.hand_over();
        }
        self.tokens += rows.len() as u64;
        self.make_room(record::pass_bytes(self.several_texts, rows.len()));
        match self.several_texts {
            true => record::put_rows(&mut self.buffer, rows),
            false => record::put_pass(&mut self.buffer, rows),
        }
    }

    /// A layer had its turn; as many layer-tokens follow as the pass has tokens.
    pub fn visit(&mut self, visit: &VisitHead<'_>) {
        self.make_room(17 + visit.hot.len().div_ceil(8));
        record::put_visit(&mut self.buffer, visit);
    }

    /// What one token's router said in this layer, and what was chosen. `chosen` is empty where nothing is
    /// known.
    pub fn layer_token(&mut self, chosen: &[Choice], scores: Scores<'_>) {
        let experts = match scores {
            Scores::None => 0,
            Scores::Logits(logits) => logits.len(),
            Scores::Probabilities(probabilities) => probabilities.len(),
        };
        self.make_room(2 + 6 * chosen.len() + 2 * experts);
        record::put_layer_token(&mut self.buffer, chosen, scores, &mut self.probabilities);
    }

    /// A whole pass, as read from another source.
    pub fn copy(&mut self, pass: &Pass) {
        self.pass(pass.rows.iter().copied());
        for visit in &pass.visits {
            let head =
                VisitHead { layer: visit.layer, hot: &visit.hot, reads: visit.reads, stall: visit.stall };
            self.visit(&head);
            for layer_token in &visit.layer_tokens {
                let scores = match layer_token.probabilities.is_empty() {
                    true => Scores::None,
                    false => Scores::Probabilities(&layer_token.probabilities),
                };
                self.layer_token(&layer_token.chosen, scores);
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.buffer.len() + bytes > BUFFER {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.ring.give_full(std::mem::take(&mut self.buffer));
        let (buffer, waited) = self.ring.take_empty();
        self.buffer = buffer;
        if let Some(waited) = waited {
            self.waits += 1;
            self.waited += waited;
        }
    }
}

impl Drop for Recorder {
    /// Hands over what is left and says that the trace is whole.
    fn drop(&mut self) {
        self.make_room(25);
        record::put_end(&mut self.buffer, self.tokens, self.waits, self.waited);
        self.ring.give_full(std::mem::take(&mut self.buffer));
        self.ring.close();
    }
}

impl TraceFile {
    /// Waits until everything is on the disk and the trace has its name. The recorder must be gone: it says
    /// when the trace ends.
    ///
    /// # Errors
    /// The first write that failed; there is no trace then.
    pub fn finish(self) -> Result<TraceTotals, TraceError> {
        let sink = self.writer.join().expect("the writer of a trace does not panic")?;
        let bytes = Bytes(sink.written);
        sink.file.commit()?;
        Ok(TraceTotals { bytes })
    }
}

/// Writes buffers as blocks until the ring is closed. After an error nothing more is written, but buffers
/// still go round: the run goes on and hears of it at the end.
fn write_blocks(ring: &Ring, mut sink: Sink) -> Result<Sink, OutputError> {
    let (mut number, mut failure) = (0, None);
    while let Some(buffer) = ring.take_full() {
        if failure.is_none() {
            let head = BlockHead::of(number, &buffer).to_bytes();
            failure = sink.write(&head).and_then(|()| sink.write(&buffer)).err();
            number += 1;
        }
        ring.give_empty(buffer);
    }
    failure.map_or(Ok(sink), Err)
}

/// A file whose pages leave the page cache soon after they were written: they are outside the memory
/// budget.
struct Sink {
    file: PartialFile,
    written: u64,
    synced: u64,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file.write_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        if self.written - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            let length = NonZeroU64::new(self.written - self.synced);
            // Advice: a file system that does not know it costs memory, not correctness.
            let _ = fadvise(self.file.file(), self.synced, length, Advice::DontNeed);
            self.synced = self.written;
        }
        Ok(())
    }
}
