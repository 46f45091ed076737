//! What is malformed, where, and in which words.

use super::*;
use crate::limits::{DOCUMENT_DEPTH_MAX, DOCUMENT_LINE_BYTES_MAX};

#[test]
fn a_line_end_and_white_space_around_the_object_are_no_fault() {
    for whole in [line(""), line("") + "\n", line("") + "\r\n", format!(" \t{} \r\n", line(""))] {
        assert_eq!(parse(whole).fields.reference, "R-1");
    }
}

#[test]
fn refuses_what_is_not_one_json_object() {
    for text in ["", " ", "\n", "[]", "null", "\"a\"", "1", "[{}]", "//", "\u{feff}"] {
        let expected = if text == "\u{feff}" { Fault::ByteOrderMark } else { Fault::NotAnObject };
        assert_eq!(fault(text), expected, "{text:?}");
    }
    for text in ["{", "{}}", "{\"a\":}", "{'a':1}", "{\"a\":NaN}", "{\"a\":01}", "{\"a\":1,}"] {
        assert!(matches!(fault(text), Fault::NotJson | Fault::TrailingText), "{text:?}");
    }
    assert_eq!(fault(line(",\"a\":\"\t\"")), Fault::NotJson);
    assert_eq!(fault(line("") + &line("")), Fault::TrailingText);
    assert_eq!(fault(line("") + "\0"), Fault::TrailingText);
    assert_eq!(fault(format!("\u{feff}{}", line(""))), Fault::ByteOrderMark);
    assert_eq!(fault(b"{\"a\":\"\xff\"}"), Fault::NotUtf8);
    // A surrogate written as UTF-8, and an overlong slash.
    assert_eq!(fault(b"{\"a\":\"\xed\xa0\x80\"}"), Fault::NotUtf8);
    assert_eq!(fault(b"{\"a\":\"\xc0\xaf\"}"), Fault::NotUtf8);
}

#[test]
fn every_cut_of_a_line_is_malformed() {
    let whole = line(r#","n":-1.5e+3,"s":"\ud83d\ude00é","a":[true,null,{}]"#);
    for end in 0..whole.len() {
        assert!(Document::parse(&whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    parse(whole);
}

#[test]
fn refuses_a_key_given_twice_at_any_depth_and_however_it_is_escaped() {
    for more in [
        r#","purpose":"a","purpose":"a""#,
        r#","purpose":"a","\u0070urpose":"b""#,
        r#","reference":"R-2""#,
        r#","child":{"x":[{"y":1,"y":1}]}"#,
        r#","child":{"é":1,"\u00e9":1}"#,
        r#","child":{"😀":1,"\ud83d\ude00":1}"#,
        r#","child":{"":1,"":1}"#,
    ] {
        assert_eq!(fault(line(more)), Fault::DuplicateKey, "{more}");
    }
    // Equal only to the eye, or in another object.
    parse(line(r#","a":{"\u00e9":1,"e\u0301":1,"E":1,"e":1},"b":{"e":1}"#));
}

#[test]
fn refuses_half_a_surrogate_pair_in_keys_and_values() {
    for more in [r#","a":"\ud83d""#, r#","a":"\ude00""#, r#","a":"\ude00\ud83d""#, r#","\ud83d":1"#]
    {
        assert_eq!(fault(line(more)), Fault::NotJson, "{more}");
    }
    assert_eq!(parse(line(r#","a":"\ud83d\ude00\u0000""#)).body.as_map()["a"], "😀\0");
}

#[test]
fn nests_to_the_bound_and_no_deeper() {
    // The document itself is the first level.
    let nested = |levels: usize, open: &str, inmost: &str, close: &str| {
        line(&format!(",\"a\":{}{inmost}{}", open.repeat(levels - 1), close.repeat(levels - 1)))
    };
    for (open, inmost, close) in
        [("[", "1.5", "]"), ("{\"k\":", "1.5", "}"), ("[", "\"x\"", "]"), ("[{\"k\":", "1", "}]")]
    {
        let per = open.matches(['[', '{']).count();
        let levels = (DOCUMENT_DEPTH_MAX - 1) / per + 1;
        parse(nested(levels, open, inmost, close));
        assert_eq!(fault(nested(levels + 1, open, inmost, close)), Fault::TooDeep, "{open}");
    }
    for empty in ["[]", "{}"] {
        parse(nested(DOCUMENT_DEPTH_MAX - 1, "[", empty, "]"));
        assert_eq!(fault(nested(DOCUMENT_DEPTH_MAX, "[", empty, "]")), Fault::TooDeep, "{empty}");
    }
    assert_eq!(fault(line(&format!(",\"a\":{}", "[".repeat(1_000_000)))), Fault::TooDeep);
}

#[test]
fn refuses_a_number_that_no_double_holds() {
    for number in ["1e309", "-1e309", "1E+400", "17976931348623159e292", &"9".repeat(310)] {
        assert_eq!(fault(line(&format!(",\"a\":{number}"))), Fault::NumberTooLarge, "{number}");
    }
    for number in ["1.7976931348623157e308", "1e-400", "-0", "0.1", &"9".repeat(308)] {
        parse(line(&format!(",\"a\":[{number}]")));
    }
}

#[test]
fn a_line_is_read_at_its_bound_and_refused_one_past() {
    let padding = DOCUMENT_LINE_BYTES_MAX - line(",\"a\":\"\"").len();
    let mut whole = line(&format!(",\"a\":\"{}\"", "x".repeat(padding)));
    assert_eq!(whole.len(), DOCUMENT_LINE_BYTES_MAX);
    parse(&whole);
    whole.push('\n');
    assert_eq!(fault(whole), Fault::LineTooLong);
}

#[test]
fn refuses_a_line_without_usable_from_reference_or_to() {
    let with = |from: &str, reference: &str, to: &str| {
        let whole = format!(r#"{{"from":{from},"reference":{reference},"to":{to}}}"#);
        Document::parse(whole.as_bytes()).map_err(|malformed| malformed.fault)
    };
    let (from, reference, to) = (r#""gp""#, r#""r""#, r#"["a/b"]"#);
    assert!(with(from, reference, to).is_ok());
    for bad in ["null", "1", r#""""#, r#"" gp""#, r#""g p""#, r#"["gp"]"#, r#"{"id":"gp"}"#] {
        assert_eq!(with(bad, reference, to), Err(Fault::NoFrom), "{bad}");
    }
    for bad in ["null", "1", r#""""#, r#"" \t\u00a0\u001f""#, r#"["r"]"#, "true"] {
        assert_eq!(with(from, bad, to), Err(Fault::NoReference), "{bad}");
    }
    for bad in ["null", "[]", "{}", r#""a/b""#, "[1]", r#"["a/b",null]"#, r#"[["a/b"]]"#] {
        assert_eq!(with(from, reference, bad), Err(Fault::NoTo), "{bad}");
    }
    assert_eq!(fault(r#"{"reference":"r","to":["a/b"]}"#), Fault::NoFrom);
    assert_eq!(fault(r#"{"from":"gp","to":["a/b"]}"#), Fault::NoReference);
    assert_eq!(fault(r#"{"from":"gp","reference":"r"}"#), Fault::NoTo);
}

#[test]
fn reference_and_recipients_are_taken_at_their_bounds_and_refused_one_past() {
    let reference = |bytes: usize| {
        let text = "é".repeat(bytes / 2) + &"x".repeat(bytes % 2);
        Document::parse(format!(r#"{{"from":"gp","reference":"{text}","to":["a/b"]}}"#).as_bytes())
            .map_err(|malformed| malformed.fault)
    };
    assert!(reference(REFERENCE_BYTES_MAX).is_ok());
    assert_eq!(reference(REFERENCE_BYTES_MAX + 1), Err(Fault::NoReference));

    let to = |distinct: usize| {
        let inboxes: Vec<_> =
            (0..distinct * 2).map(|n| format!("a{}/duty", n % distinct)).collect();
        Document::parse(
            json!({"from": "gp", "reference": "r", "to": inboxes}).to_string().as_bytes(),
        )
        .map_err(|malformed| malformed.fault)
    };
    assert_eq!(to(RECIPIENTS_MAX).unwrap().fields.to.len(), 2 * RECIPIENTS_MAX);
    assert_eq!(to(RECIPIENTS_MAX + 1), Err(Fault::TooManyRecipients));
    let written = |count: usize| {
        let to = vec!["a/duty"; count];
        Document::parse(json!({"from": "gp", "reference": "r", "to": to}).to_string().as_bytes())
            .map_err(|malformed| malformed.fault)
    };
    assert!(written(TO_WRITTEN_MAX).is_ok());
    assert_eq!(written(TO_WRITTEN_MAX + 1), Err(Fault::TooManyRecipients));
}

#[test]
fn a_malformed_line_is_described_without_a_word_of_it() {
    let secret = "Pemberwick";
    for text in [
        format!(r#"{{"from":"{secret} x","reference":"r","to":["a/b"]}}"#),
        format!(r#"{{"{secret}":1,"{secret}":2}}"#),
        format!(r#"{{"a":"{secret}""#),
        format!(r#"{{"a":{secret}}}"#),
        format!(r#"{{"from":"gp","reference":"r","to":["{secret}",1]}}"#),
    ] {
        let malformed = Document::parse(text.as_bytes()).unwrap_err();
        let said = format!("{malformed} {malformed:?} {}", malformed.code());
        assert!(!said.contains(secret), "{said}");
        assert!(said.contains(": "), "says what to do: {said}");
    }
    let document = parse(line(&format!(",\"child\":\"{secret}\",\"kind\":\"{secret}\"")));
    assert!(!format!("{document:?}").contains(secret));
    assert!(!format!("{document:?}").contains("R-1"));
}

#[test]
fn a_fault_is_placed_at_its_byte() {
    let column = |text: &[u8]| Document::parse(text).unwrap_err().column;
    assert_eq!(column(b"{\"a\":\"\xff\"}"), Some(7));
    assert_eq!(column(b"  [1]"), Some(3));
    assert_eq!(column(br#"{"a":x}"#), Some(6));
    // Bytes, not characters; and a line feed between values does not restart the count.
    assert_eq!(column("{\"é\":x}".as_bytes()), Some(7));
    assert_eq!(column(b"{\n\"a\":x}"), Some(7));
    assert_eq!(column(br#"{"from":"gp"}"#), None);
}

#[test]
fn an_object_with_the_parser_s_private_key_is_still_an_object() {
    for inside in [
        r#"{"$serde_json::private::Number":"1"}"#,
        r#"{"$serde_json::private::Number":"not a number"}"#,
        r#"{"\u0024serde_json::private::Number":"1","x":2}"#,
        r#"{"$serde_json::private::RawValue":"[1]"}"#,
    ] {
        let body = Body::parse(format!("{{\"a\":{inside}}}").as_bytes()).unwrap();
        assert!(body.as_map()["a"].is_object(), "{inside}");
        assert_eq!(Body::parse(&body.carried()), Ok(body.clone()));
        assert_eq!(Body::parse(&body.canonical()), Ok(body));
    }
}
