//! Lines of a file or of standard input, one at a time, however long they are.
//!
//! Takes any reader; gives each line with its number and without its end. A line past
//! the bound is read to its end and given only so far that it is seen to be too long.
//!
//! Holds: I10. Knows: limits.

use std::io::{self, BufRead, Read};

use crate::limits::DOCUMENT_LINE_BYTES_MAX;

/// The lines of a reader.
pub(crate) struct Lines<R> {
    input: R,
    number: u64,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// Without its line end; at most one byte past the bound.
    pub(crate) bytes: Vec<u8>,
    /// How many bytes of the input it took.
    pub(super) taken: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn of(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next line; `None` at the end of the input.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let most = DOCUMENT_LINE_BYTES_MAX as u64 + 2;
        let mut bytes = Vec::new();
        let mut taken = self.input.by_ref().take(most).read_until(b'\n', &mut bytes)? as u64;
        if taken == 0 {
            return Ok(None);
        }
        match bytes.last() {
            Some(b'\n') => drop(bytes.pop()),
            _ if taken == most => taken += self.skip_line()?,
            _ => {}
        }
        bytes.truncate(DOCUMENT_LINE_BYTES_MAX + 1);
        self.number += 1;
        Ok(Some(Line { number: self.number, bytes, taken }))
    }

    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.input.fill_buf()?;
            let (length, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(length);
            skipped += length as u64;
            if ended {
                return Ok(skipped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::{Document, Fault};

    fn lines(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::of(io::BufReader::with_capacity(64, input));
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn gives_each_line_its_number_with_or_without_a_last_line_end() {
        let found = lines(b"one\n\ntwo");
        let found: Vec<_> = found.iter().map(|line| (line.number, line.bytes.as_slice())).collect();
        assert_eq!(found, [(1, b"one".as_slice()), (2, b""), (3, b"two")]);
        assert_eq!(lines(b"one\n").len(), 1);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_past_the_bound_is_too_long_and_the_next_is_whole() {
        let at_the_bound = [b"x".repeat(DOCUMENT_LINE_BYTES_MAX), b"\nnext".to_vec()].concat();
        let found = lines(&at_the_bound);
        assert_eq!(found[0].bytes.len(), DOCUMENT_LINE_BYTES_MAX);
        for extra in [1, 2, 3, 1_000] {
            let mut input = b"x".repeat(DOCUMENT_LINE_BYTES_MAX + extra);
            input.extend_from_slice(b"\nnext");
            let found = lines(&input);
            let fault = Document::parse(&found[0].bytes).unwrap_err().fault;
            assert_eq!(fault, Fault::LineTooLong);
            assert_eq!((found[1].number, found[1].bytes.as_slice()), (2, b"next".as_slice()));
            assert_eq!(found.iter().map(|line| line.taken).sum::<u64>(), input.len() as u64);
        }
    }
}
