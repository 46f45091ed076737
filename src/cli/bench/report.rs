//! What was found: each bar with its target, and the figures it was made of.
//!
//! Knows: nothing.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Map, Value, json};

use super::{
    super::{Output, print},
    stats::Spread,
};
use crate::clock::Moment;

/// A bar of the design: what it is about, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) target: Target,
    pub(super) unit: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
        }
    }
}

use Target::{AtLeast, AtMost};

pub(super) const SUBMIT: Bar = Bar {
    name: "submit",
    what: "unary Submit, of an empty mTLS gRPC echo's throughput",
    target: AtLeast(0.35),
    unit: "×",
};
pub(super) const STREAM: Bar = Bar {
    name: "stream",
    what: "SubmitStream, of what one signature each allows",
    target: AtLeast(0.60),
    unit: "×",
};
pub(super) const ONE: Bar = Bar {
    name: "one_at_a_time",
    what: "one Submit, median, of the echo's median + one fdatasync",
    target: AtMost(2.0),
    unit: "×",
};
pub(super) const DELIVERY: Bar = Bar {
    name: "delivery",
    what: "submit → on the recipient's stream, p99",
    target: AtMost(10.0),
    unit: "ms",
};
pub(super) const PER_SYNC: Bar = Bar {
    name: "entries_per_fsync",
    what: "entries for each fdatasync, under unary Submit",
    target: AtLeast(20.0),
    unit: "entries",
};
pub(super) const APPEND: Bar = Bar {
    name: "append",
    what: "append rate at the end, of the rate at 50,000 entries",
    target: AtLeast(0.9),
    unit: "×",
};
pub(super) const QUERY_CONCERN: Bar =
    Bar { name: "query_concern", what: "query by concern, p99", target: AtMost(10.0), unit: "ms" };
pub(super) const QUERY_AGENCY: Bar = Bar {
    name: "query_agency",
    what: "query by agency and time, first page, p99",
    target: AtMost(10.0),
    unit: "ms",
};
pub(super) const START: Bar =
    Bar { name: "start", what: "start with a good index", target: AtMost(1.0), unit: "s" };
pub(super) const REBUILD: Bar = Bar {
    name: "rebuild",
    what: "rebuild of the index",
    target: AtLeast(100_000.0),
    unit: "entries/s",
};
pub(super) const MEMORY: Bar = Bar {
    name: "memory",
    what: "resident memory of a server just started and asked",
    target: AtMost(400.0),
    unit: "MiB",
};

pub(super) const SOAK_MEMORY: Bar = Bar {
    name: "soak_memory",
    what: "resident memory in the last quarter of a soak, of the third",
    target: AtMost(1.1),
    unit: "×",
};
pub(super) const SOAK_DESCRIPTORS: Bar = Bar {
    name: "soak_descriptors",
    what: "open descriptors in the last quarter of a soak, of the third",
    target: AtMost(1.1),
    unit: "×",
};

/// A bar and what was measured.
struct Measured {
    bar: Bar,
    spread: Spread,
    /// What there is to know about the measurement.
    note: String,
}

/// All that one run found.
#[derive(Default)]
pub(super) struct Report {
    bars: Vec<Measured>,
    figures: Vec<(&'static str, String, f64, &'static str)>,
}

impl Report {
    pub(super) fn bar(&mut self, bar: Bar, spread: Spread, note: impl Into<String>) {
        self.bars.push(Measured { bar, spread, note: note.into() });
    }

    /// A figure of a measurement: which, what, how much.
    pub(super) fn figure(
        &mut self,
        of: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        self.figures.push((of, what.into(), value, unit));
    }

    /// The rounds of a figure.
    pub(super) fn spread(
        &mut self,
        of: &'static str,
        what: &str,
        spread: Spread,
        unit: &'static str,
    ) {
        self.figure(of, what, spread.median, unit);
        self.figure(of, format!("{what}, least"), spread.least, unit);
        self.figure(of, format!("{what}, most"), spread.most, unit);
    }

    pub(super) fn all_met(&self) -> bool {
        self.bars.iter().all(|measured| measured.bar.target.met_by(measured.spread.median))
    }

    pub(super) fn print(&self, output: Output, folder: &Path, at: Moment) -> anyhow::Result<()> {
        let machine = Machine::look(folder);
        match output {
            Output::Json => print::json(&self.json(&machine, at)),
            Output::Text => self.text(&machine, at),
        }
    }

    fn json(&self, machine: &Machine, at: Moment) -> Value {
        let bars: Vec<Value> = self.bars.iter().map(Measured::json).collect();
        let mut figures = Map::new();
        for (of, what, value, unit) in &self.figures {
            let group = figures.entry(*of).or_insert_with(|| json!({}));
            group[what] = json!({"value": value, "unit": unit});
        }
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "optimised": !cfg!(debug_assertions),
            "at": at.rfc3339(),
            "machine": machine.json(),
            "bars": bars,
            "figures": figures,
        })
    }

    fn text(&self, machine: &Machine, at: Moment) -> anyhow::Result<()> {
        print::line(format!("cairn {} at {}", env!("CARGO_PKG_VERSION"), at.rfc3339()))?;
        for (name, value) in &machine.0 {
            print::line(format!("  {name:<10} {value}"))?;
        }
        if cfg!(debug_assertions) {
            print::line("  This program was not optimised: its figures say nothing.")?;
        }
        print::line("")?;
        let rows = self.bars.iter().map(Measured::row);
        print::table(&["bar", "target", "measured", "least … most", "", "note"], rows)?;
        print::line("")?;
        let rows = self.figures.iter().map(|(of, what, value, unit)| {
            vec![(*of).to_owned(), what.clone(), format!("{} {unit}", short(*value))]
        });
        Ok(print::table(&["of", "figure", "measured"], rows)?)
    }
}

impl Measured {
    fn met(&self) -> bool {
        self.bar.target.met_by(self.spread.median)
    }

    fn json(&self) -> Value {
        let (at_least, at_most) = match self.bar.target {
            AtLeast(target) => (Some(target), None),
            AtMost(target) => (None, Some(target)),
        };
        json!({
            "name": self.bar.name,
            "what": self.bar.what,
            "at_least": at_least,
            "at_most": at_most,
            "unit": self.bar.unit,
            "measured": self.spread.median,
            "least": self.spread.least,
            "most": self.spread.most,
            "met": self.met(),
            "note": self.note,
        })
    }

    fn row(&self) -> Vec<String> {
        let unit = self.bar.unit;
        let target = match self.bar.target {
            AtLeast(target) => format!("≥ {} {unit}", short(target)),
            AtMost(target) => format!("≤ {} {unit}", short(target)),
        };
        let Spread { least, median, most } = self.spread;
        vec![
            self.bar.what.to_owned(),
            target,
            format!("{} {unit}", short(median)),
            if least == most {
                String::new()
            } else {
                format!("{} … {}", short(least), short(most))
            },
            if self.met() { "met" } else { "MISSED" }.to_owned(),
            self.note.clone(),
        ]
    }
}

/// Three digits that say something, more before the point if there are more.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(rest) = rest {
        // Writing to a string does not fail.
        let _ = write!(grouped, ".{rest}");
    }
    grouped
}

/// What it was measured on.
struct Machine(Vec<(&'static str, String)>);

impl Machine {
    fn look(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        };
        let processor = field(&read("/proc/cpuinfo"), "model name");
        let words = |path: &str, count: usize| {
            read(path).split_whitespace().take(count).collect::<Vec<_>>().join(" ")
        };
        Self(vec![
            ("processor", processor.unwrap_or_else(|| "unknown".into())),
            ("cores", super::load::cores().to_string()),
            ("memory", field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default()),
            ("kernel", words("/proc/version", 3)),
            ("disk", disk_of(folder, &read("/proc/self/mounts"))),
            ("load", words("/proc/loadavg", 3)),
        ])
    }

    fn json(&self) -> Value {
        Value::Object(self.0.iter().map(|(k, v)| ((*k).to_owned(), v.clone().into())).collect())
    }
}

/// The device and kind of file system that a folder is on.
fn disk_of(folder: &Path, mounts: &str) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
            folder.starts_with(point).then_some((point.len(), device, kind))
        })
        .max_by_key(|(length, ..)| *length);
    found.map_or_else(|| "unknown".into(), |(_, device, kind)| format!("{device} ({kind})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_grouped() {
        let shown: Vec<String> =
            [0.0, 0.351_2, 1.999, 12.34, 123.4, 5_000_000.0].into_iter().map(short).collect();
        assert_eq!(shown, ["0", "0.351", "2.00", "12.3", "123", "5,000,000"]);
    }

    #[test]
    fn the_disk_is_the_one_mounted_nearest() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /proc ext2 rw 0 0\n";
        assert_eq!(disk_of(Path::new("/proc"), mounts), "/dev/b (ext2)");
        assert_eq!(disk_of(Path::new("/dev"), mounts), "/dev/a (ext4)");
    }

    #[test]
    fn a_bar_is_met_at_its_target() {
        assert!(AtLeast(0.35).met_by(0.35) && !AtLeast(0.35).met_by(0.349));
        assert!(AtMost(10.0).met_by(10.0) && !AtMost(10.0).met_by(10.1));
    }
}
