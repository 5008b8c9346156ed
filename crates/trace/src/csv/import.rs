//! A trace from CSV: picks and weights only, so without full scores and with hot sets of the picks alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotset_base::limits::{MAX_CSV_COLUMNS, MAX_EXPERTS, MAX_LAYERS, MAX_TOP_K, MAX_TRACE_CSV};
use hotset_base::{Choice, ExpertId, LayerId, Phase};

use super::{COLUMNS, FIRST_LINE};
use crate::header::first_architecture;
use crate::record::check_chosen;
use crate::{LayerToken, Pass, Reads, TraceError, TraceHeader, TraceRow, Visit};

/// One pick.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Where it stands in the file, counted from 1.
    line: usize,
    turn: u32,
    decoding: bool,
    step: u32,
    layer: u16,
    slot: u16,
    choice: Choice,
    hot: bool,
}

impl Row {
    /// Tokens in order, their layers in order, ranks in order.
    fn place(&self) -> (u32, u32, u16, u16) {
        (self.turn, self.step, self.layer, self.slot)
    }
}

/// A CSV file, read and checked. Every token is a pass of its own.
pub struct CsvTrace {
    header: TraceHeader,
    rows: Vec<Row>,
    next: usize,
    position: u32,
}

impl CsvTrace {
    /// Reads a file whole.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let text = hotset_inputs::read_text(path, MAX_TRACE_CSV).map_err(TraceError::io("read", path))?;
        Self::parse(&text, path)
    }

    /// The same from text; `path` names it in errors.
    ///
    /// # Errors
    /// As [`CsvTrace::open`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, TraceError> {
        Parser { path: path.to_owned(), line: 0 }.parse(text)
    }

    /// What holds for the whole trace.
    pub fn header(&self) -> &TraceHeader {
        &self.header
    }

    /// The next token, or `None` at the end.
    pub fn next_pass(&mut self) -> Option<Pass> {
        let first = *self.rows.get(self.next)?;
        let same = |row: &Row| (row.turn, row.step) == (first.turn, first.step);
        let end = self.next + self.rows[self.next..].iter().take_while(|row| same(row)).count();
        let rows = &self.rows[self.next..end];
        let experts = self.header.experts;
        let layers = 0..self.header.layers as u16;
        let phase = if first.decoding { Phase::Narration } else { Phase::Setup };
        let pass = Pass {
            rows: vec![TraceRow::of_one_text(phase, self.position, None)],
            visits: layers.map(|layer| visit(layer, rows, experts)).collect(),
        };
        let same_turn = self.rows.get(end).is_some_and(|row| row.turn == first.turn);
        self.position = if same_turn { self.position + 1 } else { 0 };
        self.next = end;
        Some(pass)
    }
}

/// One layer's picks for one token; none where the file has none.
fn visit(layer: u16, rows: &[Row], experts: usize) -> Visit {
    let first = rows.partition_point(|row| row.layer < layer);
    let rows = &rows[first..rows.partition_point(|row| row.layer <= layer)];
    let mut hot = vec![false; experts];
    rows.iter().for_each(|row| hot[row.choice.expert.index()] = row.hot);
    let chosen: Vec<Choice> = rows.iter().map(|row| row.choice).collect();
    Visit {
        layer: LayerId(layer),
        hot,
        reads: Reads { demand: rows.iter().filter(|row| !row.hot).count() as u16, ..Reads::default() },
        stall: Duration::ZERO,
        layer_tokens: vec![LayerToken { chosen, probabilities: Vec::new() }],
    }
}

/// Knows the line it is at.
struct Parser {
    path: PathBuf,
    line: usize,
}

impl Parser {
    fn parse(mut self, text: &str) -> Result<CsvTrace, TraceError> {
        let (mut header, mut columns, mut rows) = (None, None, Vec::new());
        for line in text.lines() {
            self.line += 1;
            let line = line.trim_end_matches('\r');
            if self.line == 1 && line != FIRST_LINE {
                return Err(self.error(format!("`{FIRST_LINE}` is missing")));
            }
            if let Some(comment) = line.strip_prefix('#') {
                self.comment(comment, &mut header)?;
            } else if columns.is_none() {
                columns = Some(self.columns(line)?);
            } else if let (Some(columns), Some(header)) = (&columns, &header) {
                rows.push(self.row(line, columns, header)?);
            } else {
                return Err(self.error("rows before the line `# model=... n_layer=...`".to_owned()));
            }
        }
        let Some(header) = header else {
            return Err(self.error("no line `# model=... n_layer=...`".to_owned()));
        };
        if rows.is_empty() {
            return Err(self.error("no rows behind the header: there is nothing in it".to_owned()));
        }
        rows.sort_by_key(Row::place);
        self.check(&rows, &header)?;
        Ok(CsvTrace { header, rows, next: 0, position: 0 })
    }

    fn error(&self, detail: String) -> TraceError {
        TraceError::Line { path: self.path.clone(), line: self.line, detail }
    }

    /// `# model=... n_layer=...` or `# layer=0 expert_bytes=...`; other comments are skipped.
    fn comment(&self, text: &str, header: &mut Option<TraceHeader>) -> Result<(), TraceError> {
        let fields: BTreeMap<&str, &str> =
            text.split_whitespace().filter_map(|field| field.split_once('=')).collect();
        if fields.contains_key("n_layer") {
            if header.is_some() {
                return Err(self.error("a second line `# model=... n_layer=...`".to_owned()));
            }
            *header = Some(self.header(&fields)?);
        } else if let (Some(layer), Some(bytes)) = (fields.get("layer"), fields.get("expert_bytes")) {
            let layer: usize = self.number("layer", layer)?;
            let sizes = header.as_mut().and_then(|header| header.expert_bytes.get_mut(layer));
            let size = sizes.ok_or_else(|| self.error(format!("layer {layer} is not one of n_layer")))?;
            *size = self.number("expert_bytes", bytes)?;
        }
        Ok(())
    }

    fn header(&self, fields: &BTreeMap<&str, &str>) -> Result<TraceHeader, TraceError> {
        let number = |name: &'static str, max: usize| {
            let text = fields.get(name).ok_or_else(|| self.error(format!("no {name}")))?;
            match self.number(name, text)? {
                n if (1..=max).contains(&n) => Ok(n),
                n => Err(self.error(format!("{name}={n}; 1 to {max} are possible"))),
            }
        };
        let layers = number("n_layer", MAX_LAYERS)?;
        let experts = number("n_expert", MAX_EXPERTS)?;
        let top_k = number("n_expert_used", MAX_TOP_K.min(experts))?;
        let model = fields.get("model").copied().unwrap_or("unknown").to_owned();
        let architecture = fields.get("arch").map_or_else(first_architecture, |name| (*name).to_owned());
        let mut options = BTreeMap::new();
        options.insert("imported".to_owned(), "picks of a routing trace in CSV".to_owned());
        Ok(TraceHeader {
            model,
            architecture,
            layers,
            experts,
            top_k,
            norm_topk: true,
            full_scores: false,
            whole_hot_sets: false,
            native_choice: true,
            several_texts: false,
            expert_bytes: vec![0; layers],
            options,
        })
    }

    /// Places of the columns that are read.
    fn columns(&self, line: &str) -> Result<[usize; COLUMNS.len()], TraceError> {
        let mut places = [0; COLUMNS.len()];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            let found = line.split(',').take(MAX_CSV_COLUMNS).position(|name| name.trim() == column);
            *place = found.ok_or_else(|| self.error(format!("no column `{column}`")))?;
        }
        Ok(places)
    }

    fn row(
        &self,
        line: &str,
        columns: &[usize; COLUMNS.len()],
        header: &TraceHeader,
    ) -> Result<Row, TraceError> {
        let cells: Vec<&str> = line.split(',').take(MAX_CSV_COLUMNS).map(str::trim).collect();
        let cell = |i: usize| {
            let found = cells.get(columns[i]).copied();
            found.ok_or_else(|| self.error(format!("no value for `{}`", COLUMNS[i])))
        };
        let below = |i: usize, limit: usize| match self.number::<usize>(COLUMNS[i], cell(i)?)? {
            n if n < limit => Ok(n as u16),
            n => Err(self.error(format!("{} {n}; it must be below {limit}", COLUMNS[i]))),
        };
        let flag = |i: usize| below(i, 2).map(|n| n == 1);
        Ok(Row {
            line: self.line,
            turn: self.number(COLUMNS[0], cell(0)?)?,
            decoding: flag(1)?,
            step: self.number(COLUMNS[2], cell(2)?)?,
            layer: below(3, header.layers)?,
            slot: below(4, header.top_k)?,
            choice: Choice {
                expert: ExpertId(below(5, header.experts)?),
                weight: self.number(COLUMNS[6], cell(6)?)?,
            },
            hot: flag(7)?,
        })
    }

    fn number<N: std::str::FromStr>(&self, name: &str, text: &str) -> Result<N, TraceError> {
        text.parse().map_err(|_| self.error(format!("`{text}` is no {name}")))
    }

    /// Every layer-token has its ranks once, without gaps, and no expert twice.
    fn check(&mut self, rows: &[Row], header: &TraceHeader) -> Result<(), TraceError> {
        let place = |row: &Row| (row.turn, row.step, row.layer);
        for rows in rows.chunk_by(|a, b| place(a) == place(b)) {
            let misplaced = rows.iter().zip(0..).find(|(row, rank)| row.slot != *rank);
            let other_phase = rows.iter().find(|row| row.decoding != rows[0].decoding);
            if let Some((row, rank)) = misplaced {
                self.line = row.line;
                return Err(self.error(format!("slot {} where {rank} belongs", row.slot)));
            }
            if let Some(row) = other_phase {
                self.line = row.line;
                return Err(self.error("another phase than the slots before it".to_owned()));
            }
            let chosen: Vec<Choice> = rows.iter().map(|row| row.choice).collect();
            self.line = rows[0].line;
            check_chosen(&chosen, header).map_err(|detail| self.error(detail))?;
        }
        Ok(())
    }
}
