//! Every refusal, one of each (I12).

use std::collections::BTreeSet;

use super::super::ids::AgencyId;
use super::*;

fn inbox(text: &str) -> InboxId {
    text.parse().unwrap()
}

fn conditions() -> Vec<Condition> {
    vec![
        Condition::Class,
        Condition::Ended,
        Condition::LawfulBasis,
        Condition::Missing,
        Condition::NotYetValid,
        Condition::Recipient(inbox("sw-ardness/duty")),
        Condition::Sender,
        Condition::Unknown,
    ]
}

fn one_of_each() -> Vec<Refusal> {
    use Refusal::*;
    let duty = || inbox("sw-ardness/duty");
    vec![
        BodyTooLarge,
        FieldInvalid { field: "reply_to", rule: "must be agency/role" },
        ForgedSignature,
        InboxHasOpenDeliveries { inbox: duty(), open: 3 },
        KeyNotPermitted,
        KeyNotValid,
        LinkExpired,
        Malformed { what: "is not a statement" },
        MissingWrap { inbox: duty() },
        NextOwnerRequired,
        NoAgreement { condition: Condition::Missing },
        NotARecipient,
        NotFromOurPage,
        NotPermitted,
        NotSigned { what: "agreement" },
        OutOfTurn { state: State::Queued, wanted: "acknowledged" },
        OutcomeNotAllowed,
        PersonRequired,
        ReasonRequired { what: "no_further_action" },
        RequestIdConflict,
        SealMismatch,
        StatementTooLarge,
        TooManyRecipients,
        UnknownKey,
        UnknownOutcome,
        Refusal::unknown_recipient(["sw-ardness/dutty"], vec![duty()]),
        UnknownStatement,
        WeakKey,
        WrongExchange,
        WrongSystem,
    ]
}

/// The rows of the header's table: code and kind.
fn documented() -> Vec<(&'static str, &'static str)> {
    include_str!("../refusal.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .map(|row| {
            let (code, rest) = row.split_once("` | ").unwrap();
            (code, rest.split_once(" | ").unwrap().0)
        })
        .collect()
}

#[test]
fn codes_are_unique_and_the_header_has_each_with_its_kind() {
    let refusals = one_of_each();
    let said: Vec<_> = refusals
        .iter()
        .map(|refusal| {
            let kind = match refusal.kind() {
                RefusalKind::Conflict => "conflict",
                RefusalKind::Denied => "denied",
                RefusalKind::Invalid => "invalid",
                RefusalKind::NotFound => "not found",
                RefusalKind::OutOfTurn => "out of turn",
                RefusalKind::Unauthenticated => "unauthenticated",
            };
            (refusal.code(), kind)
        })
        .collect();
    let unique: BTreeSet<_> = said.iter().map(|(code, _)| code).collect();
    assert_eq!(unique.len(), said.len());
    assert_eq!(said.iter().collect::<BTreeSet<_>>(), documented().iter().collect());
}

#[test]
fn codes_are_snake_case() {
    for refusal in one_of_each() {
        assert!(refusal.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    }
}

#[test]
fn every_refusal_says_what_is_wrong_and_what_to_do() {
    let mut all = one_of_each();
    all.extend(conditions().into_iter().map(|condition| Refusal::NoAgreement { condition }));
    for refusal in all {
        let (sentence, advice) = (refusal.sentence(), refusal.what_to_do());
        assert!(sentence.len() > 20 && !sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("  ") && !advice.contains("  "), "{sentence} {advice}");
        assert!(advice.starts_with(|c: char| c.is_ascii_uppercase()), "{advice}");
        assert!(advice.len() > 20 && advice.ends_with('.'), "{advice}");
    }
}

#[test]
fn each_failed_condition_of_an_agreement_is_told_apart() {
    let sentences: BTreeSet<_> = conditions()
        .into_iter()
        .map(|condition| Refusal::NoAgreement { condition }.sentence())
        .collect();
    assert_eq!(sentences.len(), conditions().len());
}

#[test]
fn unknown_recipient_names_inboxes_and_lists_the_valid_ones() {
    let refusal = Refusal::unknown_recipient(["sw-ardness/dutty"], vec![inbox("sw-ardness/duty")]);
    let sentence = "the directory does not have sw-ardness/dutty; valid there: sw-ardness/duty";
    assert_eq!(refusal.sentence(), sentence);
    let many = (0..20).map(|n| inbox(&format!("sw-ardness/role-{n}"))).collect();
    assert!(Refusal::unknown_recipient(["a/b"], many).sentence().ends_with("role-7, and 12 more"));
}

#[test]
fn unknown_recipient_repeats_nothing_that_is_not_a_name() {
    let written = ["Jo Pemberwick", "a/b", "", "mum/0131 496 0151"];
    let refusal = Refusal::unknown_recipient(written, vec![]);
    let said = format!("{refusal} {refusal:?}");
    assert!(said.contains("a/b, nor 3 not of the form agency/role"), "{said}");
    assert!(!said.contains("Pemberwick") && !said.contains("0151"), "{said}");
    let none = Refusal::unknown_recipient(["x"], vec![]).sentence();
    assert!(none.contains("1 of the recipients"), "{none}");
}

#[test]
fn a_conflict_points_to_additional_information() {
    assert!(Refusal::RequestIdConflict.what_to_do().contains("`additional_information`"));
}

#[test]
fn a_malformed_line_and_a_bad_name_become_refusals_without_their_text() {
    let malformed = super::super::document::Document::parse(b"[\"Pemberwick\"]").unwrap_err();
    let refusal = Refusal::from(malformed);
    assert_eq!(refusal.code(), "malformed");
    assert!(refusal.sentence().contains("not a JSON object"));
    let error = "Jo Pemberwick".parse::<AgencyId>().unwrap_err();
    let refusal = Refusal::field("from", error);
    assert!(refusal.sentence().starts_with("the field `from` must be"), "{refusal}");
    assert!(!refusal.sentence().contains("Pemberwick"));
}
