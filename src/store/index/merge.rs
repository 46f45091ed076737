//! Several ordered sources as one: of a key that several have, the newest word counts.
//!
//! Holds: I5. Knows: nothing.

use std::collections::btree_map;

use super::{IndexError, Key};

/// Keys in order, each with its value or removed.
pub(super) trait Source {
    /// Where it stands; `None` past the end.
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)>;
    /// Goes on by one key.
    fn advance(&mut self) -> Result<(), IndexError>;
}

/// Changes in memory as a source.
pub(super) struct MapSource<'a> {
    rest: btree_map::Range<'a, Key, Option<Vec<u8>>>,
    at: Option<(&'a Key, &'a Option<Vec<u8>>)>,
}

impl<'a> MapSource<'a> {
    pub(super) fn new(mut rest: btree_map::Range<'a, Key, Option<Vec<u8>>>) -> Self {
        let at = rest.next();
        Self { rest, at }
    }
}

impl Source for MapSource<'_> {
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.at.map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        self.at = self.rest.next();
        Ok(())
    }
}

/// Sources, newest first, as one.
pub(super) struct Merged<'a> {
    sources: Vec<Box<dyn Source + 'a>>,
    /// The source that has the least key, the newest of those that do.
    at: Option<usize>,
    /// Those that have the same key, older.
    behind: Vec<usize>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(sources: Vec<Box<dyn Source + 'a>>) -> Self {
        let mut merged = Self { sources, at: None, behind: Vec::new() };
        merged.look();
        merged
    }

    fn look(&mut self) {
        let mut least: Option<(&[u8], usize)> = None;
        self.behind.clear();
        for (number, source) in self.sources.iter().enumerate() {
            let Some((key, _)) = source.entry() else { continue };
            match least {
                Some((other, _)) if key > other => {}
                Some((other, _)) if key == other => self.behind.push(number),
                _ => {
                    least = Some((key, number));
                    self.behind.clear();
                }
            }
        }
        self.at = least.map(|(_, number)| number);
    }
}

impl Source for Merged<'_> {
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.sources.get(self.at?)?.entry()
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        for number in self.at.iter().chain(&self.behind) {
            if let Some(source) = self.sources.get_mut(*number) {
                source.advance()?;
            }
        }
        self.look();
        Ok(())
    }
}
