//! What became of the lines, counted and told.
//!
//! Knows: nothing.

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::push::Fate;
use crate::cli::{Output, print};

/// With no more lines than this, people are shown each of them; else what needs them.
const LINES_SHOWN: usize = 20;

/// What became of each line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    resent: Vec<(String, Fate)>,
    lines: Vec<(u64, String, Fate)>,
    malformed: Vec<(u64, &'static str, String)>,
}

impl Tally {
    /// Something of the outbox that had no answer before.
    pub(super) fn resent(&mut self, id: String, fate: Fate) {
        self.resent.push((id, fate));
    }

    pub(super) fn line(&mut self, number: u64, reference: String, fate: Fate) {
        self.lines.push((number, reference, fate));
    }

    pub(super) fn malformed(&mut self, number: u64, code: &'static str, message: String) {
        self.malformed.push((number, code, message));
    }

    fn fates(&self) -> impl Iterator<Item = &Fate> {
        let resent = self.resent.iter().map(|(_, fate)| fate);
        resent.chain(self.lines.iter().map(|(_, _, fate)| fate))
    }

    /// 3 while something is not answered, else 1 if something was not accepted.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.fates().any(|fate| *fate == Fate::Unanswered) {
            return ExitCode::from(3);
        }
        let refused = self.fates().any(|fate| matches!(fate, Fate::Refused { .. }));
        if refused || !self.malformed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    pub(super) fn print(&mut self, output: Output, folder: &Path) -> anyhow::Result<()> {
        self.lines.sort_by_key(|(number, _, _)| *number);
        match output {
            Output::Json => print::json(&self.json()),
            Output::Text => self.text(folder),
        }
    }

    fn json(&self) -> Value {
        let of = |kind: fn(&Fate) -> bool| -> Vec<Value> {
            let lines = self.lines.iter().filter(|(_, _, fate)| kind(fate));
            lines
                .map(|(number, reference, fate)| {
                    with(json!({"line": number, "reference": reference}), fate)
                })
                .collect()
        };
        let malformed: Vec<Value> = self
            .malformed
            .iter()
            .map(|(line, code, message)| json!({"line": line, "code": code, "message": message}))
            .collect();
        let resent: Vec<Value> = self
            .resent
            .iter()
            .map(|(id, fate)| with(json!({"id": id, "result": word(fate)}), fate))
            .collect();
        json!({
            "accepted": of(|fate| matches!(fate, Fate::Accepted { .. })),
            "duplicates": of(|fate| matches!(fate, Fate::Duplicate { .. })),
            "refused": of(|fate| matches!(fate, Fate::Refused { .. })),
            "malformed": malformed,
            "unanswered": of(|fate| *fate == Fate::Unanswered),
            "resent": resent,
        })
    }

    fn text(&self, folder: &Path) -> anyhow::Result<()> {
        let total = self.lines.len() + self.malformed.len();
        self.say_resent()?;
        let count =
            |kind: &str| self.lines.iter().filter(|(_, _, fate)| word(fate) == kind).count();
        let outside = self.lines.iter().filter(|(_, _, fate)| is_outside_agreement(fate)).count();
        let outside = match outside {
            0 => String::new(),
            some => format!(" ({some} outside any agreement)"),
        };
        print::line(format_args!(
            "{total} {}: {} accepted{outside}, {} duplicate, {} refused, {} malformed, {} not answered",
            if total == 1 { "line" } else { "lines" },
            count("accepted"),
            count("duplicate"),
            count("refused"),
            self.malformed.len(),
            count("unanswered"),
        ))?;
        print::table(&["line", "result", "entry", "what to do"], self.rows(total))?;
        if self
            .fates()
            .any(|fate| matches!(fate, Fate::Refused { code, .. } if code != "other_agency"))
        {
            print::line(
                "What was refused stays yours: `cairn status` lists it until it is mended.",
            )?;
        }
        if self.fates().any(|fate| *fate == Fate::Unanswered) {
            let outbox = folder.join("outbox");
            print::line(format_args!(
                "What is not answered is kept in {}; `cairn send` sends it first.",
                outbox.display()
            ))?;
        }
        if self.malformed.iter().any(|(line, code, _)| *line == 1 && *code == "not_json") {
            print::line("One document must be on one line; `jq -c .` puts it there.")?;
        }
        Ok(())
    }

    fn say_resent(&self) -> anyhow::Result<()> {
        if self.resent.is_empty() {
            return Ok(());
        }
        print::line(format_args!("sent again from the outbox: {}", self.resent.len()))?;
        let rows = self.resent.iter().map(|(id, fate)| {
            let (entry, advice) = columns(fate);
            vec![id.clone(), word(fate).to_owned(), entry, advice]
        });
        Ok(print::table(&["id", "result", "entry", "what to do"], rows)?)
    }

    fn rows(&self, total: usize) -> Vec<Vec<String>> {
        let shown = |fate: &Fate| total <= LINES_SHOWN || matches!(fate, Fate::Refused { .. });
        let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
        for (number, _, fate) in self.lines.iter().filter(|(_, _, fate)| shown(fate)) {
            let (entry, advice) = columns(fate);
            rows.push((*number, vec![number.to_string(), word(fate).to_owned(), entry, advice]));
        }
        for (number, code, message) in &self.malformed {
            let advice = format!("{code}: the line {message}");
            rows.push((
                *number,
                vec![number.to_string(), "malformed".into(), String::new(), advice],
            ));
        }
        rows.sort_by_key(|(number, _)| *number);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Accepted { .. } => "accepted",
        Fate::Duplicate { .. } => "duplicate",
        Fate::Refused { .. } => "refused",
        Fate::Unanswered => "unanswered",
    }
}

fn is_outside_agreement(fate: &Fate) -> bool {
    matches!(fate, Fate::Accepted { outside_agreement: true, .. })
}

/// The entry, and what to do.
fn columns(fate: &Fate) -> (String, String) {
    match fate {
        Fate::Accepted { entry, outside_agreement: true } => {
            (entry.to_string(), "outside any agreement: say why to your reviewer".into())
        }
        Fate::Accepted { entry, .. } | Fate::Duplicate { entry } => {
            (entry.to_string(), String::new())
        }
        Fate::Refused { code, message } => (String::new(), format!("{code}: {message}")),
        Fate::Unanswered => (String::new(), "nothing; it is kept and sent again".into()),
    }
}

fn with(mut row: Value, fate: &Fate) -> Value {
    match fate {
        Fate::Accepted { entry, outside_agreement } => {
            row["entry"] = (*entry).into();
            row["outside_agreement"] = (*outside_agreement).into();
        }
        Fate::Duplicate { entry } => row["entry"] = (*entry).into(),
        Fate::Refused { code, message } => {
            row["code"] = code.as_str().into();
            row["message"] = message.as_str().into();
        }
        Fate::Unanswered => {}
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_each_line_in_exactly_one_list() {
        let mut tally = Tally::default();
        let refused = || Fate::Refused { code: "no_agreement".into(), message: "…".into() };
        tally.line(1, "R-1".into(), Fate::Accepted { entry: 7, outside_agreement: true });
        tally.line(2, "R-1".into(), Fate::Duplicate { entry: 7 });
        tally.line(3, "R-3".into(), refused());
        tally.line(4, "R-4".into(), Fate::Unanswered);
        tally.malformed(5, "not_json", "…".into());
        let json = tally.json();
        for (list, line) in [
            ("accepted", 1),
            ("duplicates", 2),
            ("refused", 3),
            ("unanswered", 4),
            ("malformed", 5),
        ] {
            let lines: Vec<_> =
                json[list].as_array().unwrap().iter().map(|row| &row["line"]).collect();
            assert_eq!(lines, [&Value::from(line)], "{list}");
        }
        assert_eq!(json["accepted"][0]["entry"], 7);
        assert_eq!(json["refused"][0]["code"], "no_agreement");
    }

    #[test]
    fn not_answered_weighs_more_than_refused_and_refused_more_than_accepted() {
        let mut tally = Tally::default();
        let code = |tally: &Tally| format!("{:?}", tally.exit_code());
        tally.line(1, "R".into(), Fate::Duplicate { entry: 1 });
        assert_eq!(code(&tally), format!("{:?}", ExitCode::SUCCESS));
        tally.malformed(2, "not_json", String::new());
        assert_eq!(code(&tally), format!("{:?}", ExitCode::FAILURE));
        tally.resent("id".into(), Fate::Unanswered);
        assert_eq!(code(&tally), format!("{:?}", ExitCode::from(3)));
    }
}
