//! What is accepted and flagged.

use super::*;

fn flag_codes(more: &str) -> Vec<&'static str> {
    parse(line(more)).flags().into_iter().map(Flag::as_str).collect()
}

#[test]
fn a_complete_document_has_no_flag() {
    assert!(flag_codes(COMPLETE).is_empty());
}

#[test]
fn an_empty_document_is_accepted_with_every_flag_that_absence_raises() {
    let expected = ["missing_action", "missing_child_identity", "missing_purpose", "unknown_code"];
    assert_eq!(flag_codes(""), expected);
    assert_eq!(Flag::ALL.map(Flag::as_str).map(Flag::parse), Flag::ALL.map(Some));
    assert!(Flag::ALL.is_sorted_by_key(|flag| flag.as_str()));
}

#[test]
fn any_type_in_any_place_is_coped_with() {
    for value in ["null", "true", "7", "\"x\"", "[]", "{}", "[[{\"value\":{}}]]", "1e300"] {
        for place in [
            format!(r#","concern":{value},"child":{value},"purpose":{value},"urgency":{value}"#),
            format!(r#","concern":{{"category":{value}}},"child":{{"identifiers":{value}}}"#),
            format!(r#","child":{{"identifiers":[{value}],"given_names":{value}}}"#),
            format!(r#","child":{{"identifiers":[{{"scheme":{value},"value":{value}}}]}}"#),
        ] {
            assert!(parse(line(&place)).flags().contains(&Flag::UnknownCode), "{place}");
        }
    }
}

#[test]
fn flags_unknown_category_and_unknown_or_missing_urgency() {
    for (was, now) in [
        ("neglect", "sibling_harm"),
        ("neglect", "Neglect"),
        (r#""neglect""#, r#"["neglect"]"#),
        ("routine", "asap"),
        ("routine", "Routine"),
        (r#""urgency":"routine","#, ""),
    ] {
        assert_eq!(flag_codes(&COMPLETE.replace(was, now)), ["unknown_code"], "{now}");
    }
    // A secondary category is not counted.
    assert!(flag_codes(&COMPLETE.replace("{\"cat", "{\"secondary\":[\"new\"],\"cat")).is_empty());
}

#[test]
fn flags_blank_purpose_and_action_but_asks_no_action_of_information() {
    for blank in [r#""""#, r#"" ""#, r#""\t\n\u00a0\u3000\u2028\u001c""#, "null", "1", "[\"p\"]"] {
        let purpose = COMPLETE.replace(r#""purpose":"p""#, &format!("\"purpose\":{blank}"));
        assert_eq!(flag_codes(&purpose), ["missing_purpose"], "{blank}");
        let action = COMPLETE.replace(r#"requested":"a""#, &format!("requested\":{blank}"));
        assert_eq!(flag_codes(&action), ["missing_action"], "{blank}");
        assert!(flag_codes(&action.replace("routine", "information")).is_empty());
        let unknown = flag_codes(&action.replace("routine", "Information"));
        assert_eq!(unknown, ["missing_action", "unknown_code"]);
    }
}

#[test]
fn flags_a_failed_identifier_check_of_its_own_scheme_only() {
    let with = |identifiers: &str| {
        flag_codes(&COMPLETE.replace("{\"fam", &format!("{{\"identifiers\":[{identifiers}],\"fam")))
    };
    assert!(with(r#"{"scheme":"chi-synthetic","value":"0101011237"}"#).is_empty());
    assert!(with(r#"{"scheme":"nhs","value":"1"},"#.trim_end_matches(',')).is_empty());
    for failed in [r#""0101010000""#, "101011237", r#""""#, "null", r#"["0101011237"]"#] {
        let identifier = format!(r#"{{"scheme":"chi-synthetic","value":{failed}}}"#);
        assert_eq!(with(&identifier), ["identifier_check_failed"], "{failed}");
        let second = format!(r#"{{"scheme":"upn","value":"x"}},{identifier}"#);
        assert_eq!(with(&second), ["identifier_check_failed"], "{failed}");
    }
    assert_eq!(with(r#"{"scheme":"chi-synthetic"}"#), ["identifier_check_failed"]);
}

#[test]
fn flags_a_child_without_identifier_or_name() {
    let with = |child: &str| flag_codes(&COMPLETE.replace(r#"{"family_name":"F"}"#, child));
    for known in [
        r#"{"given_names":"Jo"}"#,
        r#"{"identifiers":[{"value":" "},{"value":"B801200005001"}]}"#,
        r#"{"identifiers":[{"value":801200005}]}"#,
    ] {
        assert!(with(known).is_empty(), "{known}");
    }
    for unknown in [
        "null",
        "{}",
        r#"{"given_names":" ","family_name":""}"#,
        r#"{"identifiers":[{"scheme":"upn","value":" "},{"scheme":"upn"},"x"]}"#,
        r#"{"date_of_birth":"2016-05-16"}"#,
    ] {
        assert_eq!(with(unknown), ["missing_child_identity"], "{unknown}");
    }
}
