//! Faults that `strace` injects into the real program, and the report that says whether they
//! fired: it counts for each thread, so a fault may never come.

use std::{fs, path::Path};

/// A fault: which call of which kind becomes what.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// As `strace -e trace=` has it; what is injected counts over all of them.
    pub calls: &'a str,
    /// As `strace -e inject=` has it: `error=EIO`, `signal=SIGKILL`, `retval=0`.
    pub becomes: &'a str,
    /// Which call, of each thread; 0 for every one.
    pub when: u32,
}

impl Fault<'_> {
    /// What to put in front of the program. No `files`: any.
    pub fn wrapper(&self, report: &Path, files: &[&Path]) -> Vec<String> {
        let Self { calls, becomes, when } = self;
        let when = if *when == 0 { String::new() } else { format!(":when={when}") };
        // As a grandchild (-D), so that the process we started is the program itself.
        let mut words = vec!["strace".into(), "-D".into(), "-f".into(), "-y".into()];
        words.extend(["-o".into(), report.to_str().unwrap().into()]);
        for file in files {
            words.extend(["-P".into(), file.to_str().unwrap().into()]);
        }
        words.extend(["-e".into(), format!("trace={calls}")]);
        words.extend(["-e".into(), format!("inject={calls}:{becomes}{when}")]);
        words
    }
}

/// The calls of a report into which something was injected, one a line.
pub fn fired(report: &Path) -> Vec<String> {
    let text = fs::read_to_string(report).unwrap_or_default();
    let injected = text.lines().filter(|line| line.ends_with("(INJECTED)"));
    injected.map(str::to_owned).collect()
}
