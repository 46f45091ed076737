//! The files that a receiving system writes: `FOLDER/<role>.jsonl`, one statement a line.
//!
//! A line is appended and synced before `stored` may be said, and is written once, however
//! often the statement is offered: the lines themselves say what is there. A line that a
//! crash cut short was never said to be stored, and is cut off at the next start.
//!
//! Holds: I7, I8. Knows: domain, store (durable files).

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::store::files;

/// What makes a line: the entry, and the redirection that brought it here, if any. What was
/// passed on and comes back is another line, for it is theirs anew.
pub(super) type Key = (u64, Option<u64>);

/// As much of a line as says which it is.
#[derive(Deserialize)]
struct Written {
    entry: u64,
    #[serde(default)]
    redirected_by: Option<u64>,
}

/// The files of one folder.
pub(super) struct Shelf {
    folder: PathBuf,
    written: BTreeMap<String, HashSet<Key>>,
}

impl Shelf {
    /// Opens the files of these roles and reads which lines they hold.
    pub(super) fn open(folder: &Path, roles: &[&str]) -> io::Result<Self> {
        if !folder.exists() {
            files::create_dir(folder)?;
        }
        let mut shelf = Self { folder: folder.to_path_buf(), written: BTreeMap::new() };
        for &role in roles {
            let lines = mended(&shelf.path(role))?;
            shelf.written.insert(role.to_owned(), lines);
        }
        Ok(shelf)
    }

    /// Where the lines of a role are.
    pub(super) fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{role}.jsonl"))
    }

    /// Writes a line unless it is there. Durable on return.
    pub(super) fn put(&mut self, role: &str, key: Key, line: &[u8]) -> io::Result<bool> {
        let path = self.path(role);
        let written = self.written.entry(role.to_owned()).or_default();
        if written.contains(&key) {
            return Ok(false);
        }
        append(&path, line)?;
        written.insert(key);
        Ok(true)
    }
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    let whole = [line, b"\n"].concat();
    if let Err(error) = file.write_all(&whole).and_then(|()| file.sync_data()) {
        // Take back what is half there, so that the next line does not run into it.
        drop(file.set_len(before));
        return Err(error);
    }
    if is_new {
        files::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// The keys of a file's lines. A last line without an end is cut off if it is not whole.
fn mended(path: &Path) -> io::Result<HashSet<Key>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let (mut keys, mut whole) = (HashSet::new(), 0);
    let mut lines = BufReader::new(&file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(keys);
        }
        let key = serde_json::from_slice::<Written>(&line).ok();
        if let Some(written) = &key {
            keys.insert((written.entry, written.redirected_by));
        }
        match (line.last(), key) {
            (Some(b'\n'), _) => whole += length,
            (_, Some(_)) => end_line(&file, path)?,
            (_, None) => {
                file.set_len(whole)?;
                file.sync_all()?;
            }
        }
    }
}

fn end_line(_file: &File, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ROLE: &str = "duty";

    fn open(folder: &Path) -> Shelf {
        Shelf::open(folder, &[ROLE]).unwrap()
    }

    #[test]
    fn a_line_is_written_once_and_after_a_restart_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut shelf = open(dir.path());
        assert!(shelf.put(ROLE, (7, None), br#"{"entry":7}"#).unwrap());
        assert!(!shelf.put(ROLE, (7, None), br#"{"entry":7}"#).unwrap());
        let mut shelf = open(dir.path());
        assert!(!shelf.put(ROLE, (7, None), br#"{"entry":7}"#).unwrap());
        let back = br#"{"entry":7,"redirected_by":9}"#;
        assert!(shelf.put(ROLE, (7, Some(9)), back).unwrap());
        assert!(!open(dir.path()).put(ROLE, (7, Some(9)), back).unwrap());
        let text = fs::read_to_string(shelf.path(ROLE)).unwrap();
        assert_eq!(text, "{\"entry\":7}\n{\"entry\":7,\"redirected_by\":9}\n");
    }

    #[test]
    fn a_line_cut_short_by_a_crash_is_cut_off_and_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("duty.jsonl");
        for cut in 1..br#"{"entry":8}"#.len() {
            let torn = &br#"{"entry":8}"#[..cut];
            fs::write(&path, [b"{\"entry\":7}\n".as_slice(), torn].concat()).unwrap();
            let mut shelf = open(dir.path());
            assert!(shelf.put(ROLE, (8, None), br#"{"entry":8}"#).unwrap());
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, "{\"entry\":7}\n{\"entry\":8}\n", "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_line_without_an_end_is_kept_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("duty.jsonl");
        fs::write(&path, "{\"entry\":7}").unwrap();
        let mut shelf = open(dir.path());
        assert!(!shelf.put(ROLE, (7, None), b"{}").unwrap());
        assert!(shelf.put(ROLE, (8, None), br#"{"entry":8}"#).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"entry\":7}\n{\"entry\":8}\n");
    }

    #[test]
    fn lines_of_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("duty.jsonl");
        fs::write(&path, "# a note\n\n{\"entry\":7}\n").unwrap();
        assert!(!open(dir.path()).put(ROLE, (7, None), b"{}").unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("# a note\n\n"));
    }
}
