//! NFC of a stream of characters (Unicode Standard Annex 15), holding one letter and its marks at a time.
//!
//! Tables and pair functions are those of the crate that the reference normalises with, so that both
//! know the same version of Unicode.

use unicode_normalization_alignments::char::{canonical_combining_class, compose, decompose_canonical};

use crate::encoder::Halt;
use crate::runs::Runs;

/// What has come since the last character that nothing can join any more.
#[derive(Default)]
pub(crate) struct Composer {
    /// The last character of combining class 0.
    starter: Option<char>,
    /// The marks behind it (combining classes above 0), in the order they came.
    marks: Runs,
    /// Class of the last mark.
    last_class: u8,
    /// Whether a mark's class is below that of the one before it: they have to be put in order.
    unordered: bool,
    /// Places, in order of classes, of marks that have joined the starter; the same place once for each.
    joined: Vec<usize>,
}

/// Takes characters that are settled.
type Out<'o> = dyn FnMut(char) -> Result<(), Halt> + 'o;

impl Composer {
    /// Takes the next character; `out` gets those that it settles.
    pub(crate) fn push(&mut self, c: char, out: &mut Out) -> Result<(), Halt> {
        if c.is_ascii() {
            // Nothing is decomposed into one, and none joins what is before it.
            self.finish(out)?;
            self.starter = Some(c);
            return Ok(());
        }
        let mut result = Ok(());
        decompose_canonical(c, |part| {
            if result.is_ok() {
                result = self.push_part(part, out);
            }
        });
        result
    }

    /// Ends the text: everything is settled. Ready for another one.
    pub(crate) fn finish(&mut self, out: &mut Out) -> Result<(), Halt> {
        if !self.marks.is_empty() {
            self.join_marks()?;
            return self.settle(out);
        }
        self.starter.take().map_or(Ok(()), out)
    }

    fn push_part(&mut self, c: char, out: &mut Out) -> Result<(), Halt> {
        let class = canonical_combining_class(c);
        if class > 0 {
            self.unordered |= class < self.last_class;
            self.last_class = class;
            return Ok(self.marks.push(c)?);
        }
        let all_joined = self.marks.is_empty() || self.join_marks()?;
        // A starter joins the one before it only if nothing is left between them.
        let joined = self.starter.filter(|_| all_joined).and_then(|starter| compose(starter, c));
        if joined.is_some() {
            self.forget_marks();
        } else {
            self.settle(out)?;
        }
        self.starter = joined.or(Some(c));
        Ok(())
    }

    /// Makes the starter what it is with the marks that join it; whether those are all. A mark is kept from
    /// it by one of the same class that has not joined.
    fn join_marks(&mut self) -> Result<bool, Halt> {
        let (mut starter, mut blocked, mut all) = (self.starter, 0, true);
        let mut joined = std::mem::take(&mut self.joined);
        self.visit_marks(&mut |place, mark, count, class| {
            let mut left = count;
            while left > 0
                && class > blocked
                && let Some(with_mark) = starter.and_then(|starter| compose(starter, mark))
            {
                starter = Some(with_mark);
                joined.push(place);
                left -= 1;
            }
            if left > 0 {
                (blocked, all) = (class, false);
            }
            Ok(())
        })?;
        (self.starter, self.joined) = (starter, joined);
        Ok(all)
    }

    /// Gives out the starter and the marks that have not joined it.
    fn settle(&mut self, out: &mut Out) -> Result<(), Halt> {
        self.starter.take().map_or(Ok(()), &mut *out)?;
        if !self.marks.is_empty() {
            let mut joined = self.joined.iter().peekable();
            self.visit_marks(&mut |place, mark, mut count, _| {
                while joined.next_if(|&&at| at == place).is_some() {
                    count -= 1;
                }
                (0..count).try_for_each(|_| out(mark))
            })?;
        }
        self.forget_marks();
        Ok(())
    }

    fn forget_marks(&mut self) {
        self.marks.clear();
        self.joined.clear();
        (self.last_class, self.unordered) = (0, false);
    }

    /// The marks in order of their classes, those of one class as they came: place, mark, how many, class.
    fn visit_marks(
        &self,
        visit: &mut dyn FnMut(usize, char, u32, u8) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let classes = || self.marks.iter().map(|(mark, _)| canonical_combining_class(mark));
        if !self.unordered {
            let mut marks = self.marks.iter().zip(classes()).enumerate();
            return marks.try_for_each(|(place, ((mark, count), class))| visit(place, mark, count, class));
        }
        let mut present = [false; 256];
        classes().for_each(|class| present[usize::from(class)] = true);
        let mut place = 0;
        for class in (1..=u8::MAX).filter(|&class| present[usize::from(class)]) {
            for ((mark, count), _) in self.marks.iter().zip(classes()).filter(|&(_, own)| own == class) {
                visit(place, mark, count, class)?;
                place += 1;
            }
        }
        Ok(())
    }
}
