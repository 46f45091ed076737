//! Changes on top of an index, readable as if they were already in it.
//!
//! Holds: I5. Knows: nothing.

use std::{collections::BTreeMap, ops::Bound};

use super::{Changes, Index, Key, View};

/// Changes on top of an index, readable as if they were already in it.
pub struct Overlay<'a> {
    base: &'a Index,
    changes: Changes,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet.
    pub fn over(base: &'a Index) -> Self {
        Self { base, changes: Changes::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// The value that a key was set to here.
    pub fn changed(&mut self, key: &[u8]) -> Option<&mut Vec<u8>> {
        self.changes.get_mut(key)?.as_mut()
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// What changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

impl View for Overlay<'_> {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.base.value(key),
        }
    }

    fn under(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let hidden = self
            .changes
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix));
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> = self
            .base
            .under(prefix, limit + hidden.clone().count())
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        merged.extend(hidden.map(|(key, value)| (key.to_vec(), value.clone())));
        merged
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .take(limit)
            .collect()
    }
}
