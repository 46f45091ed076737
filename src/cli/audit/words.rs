//! Facts and details in words. Bodies stay sealed: nothing here could open one.
//!
//! Knows: proto, clock.

use serde_json::{Map, Value};

use crate::{
    clock::Moment,
    proto::{
        self, BeginMirrorRequest, ConsoleAccess, EntryType, Envelope, Facts, GetEntryRequest,
        Person, QueryRequest, RecordCallRequest, SettleRequest, SignedChange, Statement,
        TakeCareRequest, statement::Act,
    },
};

/// Named values in the order in which people should read them.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// The same as a JSON object.
pub(super) fn map(fields: Fields) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The same as lines of text, names aligned.
pub(super) fn lines(fields: &Fields) -> Vec<String> {
    let name = |name: &str| name.replace('_', " ");
    fields.iter().map(|(field, value)| format!("  {:<20}{}", name(field), text(value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// RFC 3339 in UTC.
pub(super) fn rfc3339(nanos: u64) -> String {
    Moment(nanos).rfc3339()
}

/// What an entry records, such as "concern".
pub(super) fn kind(facts: &Facts) -> String {
    let name = facts.r#type().as_str_name();
    name.strip_prefix("ENTRY_TYPE_").unwrap_or(name).to_ascii_lowercase()
}

/// Says only what was said: empty texts and lists, zeros and "no" are left out.
struct Said(Fields);

impl Said {
    fn text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.0.push((name, text.into()));
        }
    }

    fn list(&mut self, name: &'static str, texts: &[String]) {
        if !texts.is_empty() {
            self.0.push((name, texts.to_vec().into()));
        }
    }

    fn number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.0.push((name, number.into()));
        }
    }

    fn yes(&mut self, name: &'static str, yes: bool) {
        if yes {
            self.0.push((name, true.into()));
        }
    }

    fn hex(&mut self, name: &'static str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.text(name, &hex);
    }

    /// A person in one line, where there are several.
    fn who(&mut self, name: &'static str, person: Option<&Person>) {
        let Some(Person { staff_id, name: called, post, .. }) = person else { return };
        let said = [called, staff_id, post].into_iter().filter(|text| !text.is_empty());
        self.text(name, &said.cloned().collect::<Vec<_>>().join(", "));
    }

    fn person(&mut self, person: Option<&Person>) {
        let Some(person) = person else { return };
        self.text("person", &person.name);
        self.text("staff_id", &person.staff_id);
        self.text("post", &person.post);
        self.yes("simulated", person.simulated);
    }
}

/// The facts of an entry.
pub(super) fn facts(facts: &Facts) -> Fields {
    let mut said = Said(vec![("type", kind(facts).into())]);
    said.text("sender", &facts.sender);
    said.list("inboxes", &facts.inboxes);
    said.text("urgency", &facts.urgency);
    said.text("class", &facts.class);
    said.text("outcome", &facts.outcome);
    said.number("answers", facts.answers);
    said.text("inbox", &facts.inbox);
    said.text("next_inbox", &facts.next_inbox);
    said.text("reply_to", &facts.reply_to);
    said.text("agreement", &facts.agreement);
    said.yes("outside_agreement", facts.outside_agreement);
    said.yes("exercise", facts.exercise);
    said.list("flags", &facts.flags);
    said.text("code", &facts.code);
    said.text("subject", &facts.subject);
    said.number("count", (facts.count > 0).then_some(facts.count));
    let moment = |seconds: &u64| Moment::of_seconds(*seconds).rfc3339();
    let moments = |due: &[u64]| due.iter().map(moment).collect::<Vec<_>>();
    said.list("acknowledgement_due", &moments(&facts.acknowledgement_due));
    said.list("decision_due", &moments(&facts.decision_due));
    for (name, due) in [("feedback_due", facts.feedback_due), ("until", facts.until)] {
        said.text(name, &if due > 0 { moment(&due) } else { String::new() });
    }
    let missing = facts.missing.len() as u64;
    said.number("missing", (missing > 0).then_some(missing));
    said.number("sender_number", (facts.sender_number > 0).then_some(facts.sender_number));
    if !facts.inbox_numbers.is_empty() {
        said.0.push(("inbox_numbers", facts.inbox_numbers.clone().into()));
    }
    said.0
}

/// The facts in one line: who, to whom, and what about.
pub(super) fn summary(facts: &Facts) -> String {
    let kind = kind(facts);
    let mut about: Vec<String> = [&facts.urgency, &facts.class, &facts.outcome, &facts.code]
        .into_iter()
        .filter(|text| !text.is_empty() && **text != kind)
        .cloned()
        .collect();
    // A key says little in a line, and takes all of it.
    if !facts.subject.is_empty() && facts.r#type() != EntryType::Genesis {
        about.push(facts.subject.clone());
    }
    about.extend(facts.answers.map(|entry| format!("about entry {entry}")));
    if !facts.inbox.is_empty() && !facts.inboxes.contains(&facts.inbox) {
        about.push(format!("at {}", facts.inbox));
    }
    if facts.outside_agreement {
        about.push("outside any agreement".into());
    }
    if facts.exercise {
        about.push("exercise".into());
    }
    about.extend(facts.flags.iter().cloned());
    let mut line = facts.sender.clone();
    if !facts.inboxes.is_empty() {
        line += &format!(" to {}", facts.inboxes.join(", "));
    }
    let colon = if line.is_empty() || about.is_empty() { "" } else { ": " };
    line + colon + &about.join(", ")
}

/// The detail of an entry: for a statement, what was signed.
pub(super) fn detail(about: &Facts, detail: &[u8]) -> Result<Fields, proto::Undecodable> {
    let mut said = Said(Vec::new());
    match about.r#type() {
        EntryType::Directory => {
            let change: SignedChange = proto::decode(detail)?;
            said.text("change", &about.subject);
            said.number("signatures", Some(change.signatures.len() as u64));
        }
        EntryType::Query => look(&mut said, &about.code, detail)?,
        EntryType::ToldByPhone => {
            let call: RecordCallRequest = proto::decode(detail)?;
            said.who("by", call.by.as_ref());
            said.who("told", call.told.as_ref());
            said.text("number", &call.number);
            said.text("at", &Moment::of_seconds(call.at).rfc3339());
            said.text("read back", if call.read_back { "yes" } else { "no" });
        }
        EntryType::TakenCareOf => {
            let care: TakeCareRequest = proto::decode(detail)?;
            said.who("by", care.by.as_ref());
            said.text("until", &Moment::of_seconds(care.until).rfc3339());
        }
        EntryType::Settled => {
            let settled: SettleRequest = proto::decode(detail)?;
            said.who("by", settled.by.as_ref());
            said.text("reason", &settled.reason);
        }
        EntryType::ConsoleAccess => {
            let access: ConsoleAccess = proto::decode(detail)?;
            said.text("sign-in name", &access.sign_in);
            said.who("person", access.person.as_ref());
            said.text("until", &Moment::of_seconds(access.until).rfc3339());
        }
        EntryType::Unspecified
        | EntryType::Genesis
        | EntryType::Refusal
        | EntryType::Recovery
        | EntryType::ReviewAsked
        | EntryType::Escalation => said.number("bytes", Some(detail.len() as u64)),
        _ => statement(&mut said, detail)?,
    }
    Ok(said.0)
}

/// Who looked at what, and why.
fn look(said: &mut Said, code: &str, detail: &[u8]) -> Result<(), proto::Undecodable> {
    match code {
        "query" => {
            let asked: QueryRequest = proto::decode(detail)?;
            said.text("purpose", &asked.purpose);
            said.text("agency", &asked.agency);
            said.number("concern", asked.concern);
            said.text("sender", &asked.sender);
            said.text("inbox", &asked.inbox);
            let types = asked.types().map(|kind| kind.as_str_name().to_owned());
            said.list("types", &types.collect::<Vec<_>>());
            said.text("outcome", &asked.outcome);
            said.text("urgency", &asked.urgency);
            said.text("agreement", &asked.agreement);
            said.list("flags", &asked.flags);
            let only = asked.only().map(|only| only.as_str_name().to_owned());
            said.list("only", &only.collect::<Vec<_>>());
            for (name, time) in [("from", asked.from_time), ("until", asked.until_time)] {
                said.text(name, &if time > 0 { rfc3339(time) } else { String::new() });
            }
        }
        "mirror" => {
            let asked: BeginMirrorRequest = proto::decode(detail)?;
            said.text("purpose", &asked.purpose);
        }
        "detail" | "entry" => {
            let asked: GetEntryRequest = proto::decode(detail)?;
            said.text("purpose", &asked.purpose);
            said.number("entry", Some(asked.entry));
            said.yes("with_detail", asked.with_detail);
        }
        _ => said.number("bytes", Some(detail.len() as u64)),
    }
    Ok(())
}

fn statement(said: &mut Said, detail: &[u8]) -> Result<(), proto::Undecodable> {
    let envelope: Envelope = proto::decode(detail)?;
    let statement: Statement = proto::decode(&envelope.statement)?;
    said.text("from", &statement.from);
    said.text("system", &statement.system);
    said.list("to", &statement.to);
    said.hex("request_id", &statement.request_id);
    said.text("created_at", &statement.created_at);
    said.number("answers", statement.answers);
    said.text("inbox", &statement.inbox);
    said.text("reply_to", &statement.reply_to);
    said.list("flags", &statement.flags);
    said.yes("exercise", statement.exercise.unwrap_or_default());
    act(said, statement.act.as_ref());
    said.hex("signed_by_key", envelope.signature.as_ref().map_or(&[], |by| &by.key_id));
    if let Some(body) = envelope.body.filter(|body| !body.ciphertext.is_empty()) {
        said.text("body", &format!("sealed, {} bytes", body.ciphertext.len()));
        let wraps: Vec<String> =
            body.wraps.iter().map(|wrap| format!("{}{}", wrap.inbox, wrap.agreement)).collect();
        said.list("sealed_to", &wraps);
    }
    Ok(())
}

fn act(said: &mut Said, act: Option<&Act>) {
    match act {
        Some(Act::Concern(concern)) => {
            said.text("kind", &concern.kind);
            said.text("reference", &concern.reference);
            said.text("urgency", &concern.urgency);
            said.text("class", &concern.class);
            said.text("agreement", &concern.agreement);
            said.text("lawful_basis", &concern.lawful_basis);
            said.text("occurred_at", &concern.occurred_at);
        }
        Some(Act::NotTaken(act)) => said.text("reason", &act.reason),
        Some(Act::CannotOpen(act)) => said.text("reason", &act.reason),
        Some(Act::Opened(act)) => said.person(act.person.as_ref()),
        Some(Act::Acknowledgement(act)) => said.person(act.person.as_ref()),
        Some(Act::Decision(act)) => {
            said.person(act.person.as_ref());
            said.text("outcome", &act.outcome);
            said.text("reason", &act.reason);
        }
        Some(Act::Feedback(act)) => said.person(act.person.as_ref()),
        Some(Act::Redirection(act)) => {
            said.person(act.person.as_ref());
            said.text("next", &act.next);
            said.yes("misdirected", act.misdirected);
        }
        Some(Act::Withdrawal(act)) => said.text("reason", &act.reason),
        Some(Act::WithdrawalConfirmed(act)) => said.person(act.person.as_ref()),
        Some(Act::PhoneConfirmed(act)) => said.person(act.person.as_ref()),
        Some(Act::UrgencyChange(act)) => {
            said.text("reason", &act.reason);
            said.person(act.person.as_ref());
        }
        Some(Act::Extension(act)) => {
            said.who("approver", act.approver.as_ref());
            said.text("duty", &act.duty);
            said.text("until", &Moment::of_seconds(act.until).rfc3339());
            said.text("reason", &act.reason);
            said.person(act.person.as_ref());
        }
        Some(Act::AgreementReview(act)) => {
            said.text("outcome", &act.outcome);
            said.person(act.person.as_ref());
        }
        Some(Act::Manifest(act)) => said.number("counted", Some(act.request_ids.len() as u64)),
        Some(Act::Stored(_) | Act::Resealed(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> Facts {
        let mut facts = Facts {
            sender: "sw-ardness".into(),
            outcome: "no_further_action".into(),
            answers: Some(12),
            inbox: "sw-ardness/duty".into(),
            sender_number: 3,
            ..Facts::default()
        };
        facts.set_type(EntryType::Decision);
        facts
    }

    #[test]
    fn facts_say_what_was_said_and_no_more() {
        let names: Vec<_> = facts(&decision()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["type", "sender", "outcome", "answers", "inbox", "sender_number"]);
        assert_eq!(lines(&facts(&decision()))[5], "  sender number       3");
    }

    #[test]
    fn a_line_says_who_to_whom_and_what_about() {
        let mut facts = decision();
        let line = "sw-ardness: no_further_action, about entry 12, at sw-ardness/duty";
        assert_eq!(summary(&facts), line);
        facts.inboxes = vec!["police-ardness/desk".into()];
        assert!(summary(&facts).starts_with("sw-ardness to police-ardness/desk: no_further"));
        assert_eq!(summary(&Facts::default()), "");
    }

    #[test]
    fn a_statement_in_words_never_holds_its_body() {
        let person = Person { name: "A. Reader".into(), post: "duty".into(), ..Person::default() };
        let act = Act::Opened(proto::Opened { person: Some(person) });
        let statement =
            Statement { from: "sw-ardness".into(), act: Some(act), ..Statement::default() };
        let body = proto::SealedBody { ciphertext: b"secret".to_vec(), ..Default::default() };
        let envelope = Envelope {
            statement: proto::encode(&statement),
            body: Some(body),
            ..Envelope::default()
        };
        let fields = detail(&decision(), &proto::encode(&envelope)).unwrap();
        let said = lines(&fields).join("\n");
        assert!(said.contains("A. Reader") && said.contains("sealed, 6 bytes"), "{said}");
        assert!(!said.contains("secret"));
    }

    #[test]
    fn a_look_says_its_purpose_and_a_detail_that_is_none_is_refused() {
        let mut facts = Facts { code: "mirror".into(), ..Facts::default() };
        facts.set_type(EntryType::Query);
        let asked = BeginMirrorRequest { purpose: "monthly_check".into() };
        let said = map(detail(&facts, &proto::encode(&asked)).unwrap());
        assert_eq!(said["purpose"], "monthly_check");
        assert!(detail(&facts, &[0xFF]).is_err());
        assert!(detail(&decision(), &[0xFF]).is_err());
    }
}
