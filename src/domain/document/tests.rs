//! Lines as people, systems and attackers write them (I12, I13).

mod flags;
mod syntax;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A line with the three fields that every document needs, and then some.
fn line(more: &str) -> String {
    format!(r#"{{"from":"hv-ardness","reference":"R-1","to":["sw-ardness/duty"]{more}}}"#)
}

fn parse(line: impl AsRef<[u8]>) -> Document {
    Document::parse(line.as_ref()).unwrap()
}

fn fault(line: impl AsRef<[u8]>) -> Fault {
    Document::parse(line.as_ref()).unwrap_err().fault
}

const COMPLETE: &str = r#","urgency":"routine","purpose":"p","action_requested":"a",
    "concern":{"category":"neglect"},"child":{"family_name":"F"}"#;

// --- parting and putting together ---

#[test]
fn parts_statement_from_body() {
    let document = parse(line(
        r#","kind":"concern","reply_to":"hv-ardness/named-person","urgency":"prompt",
        "class":"wellbeing","agreement":"isp-ardness-2026","lawful_basis":"public_task",
        "created_at":"2026-11-16T06:00:42Z","occurred_at":"2026-11-15t07:56:42.5+01:00",
        "exercise":true,"purpose":"p","tracking_colour":"blue""#,
    ));
    let fields = &document.fields;
    assert_eq!(fields.kind.as_deref(), Some("concern"));
    assert_eq!(fields.from.as_str(), "hv-ardness");
    assert_eq!(fields.to, ["sw-ardness/duty"]);
    assert_eq!(fields.reply_to.as_ref().unwrap().to_string(), "hv-ardness/named-person");
    assert_eq!(fields.urgency.as_deref(), Some("prompt"));
    assert_eq!(fields.class.as_deref(), Some("wellbeing"));
    assert_eq!(fields.agreement.as_ref().unwrap().as_str(), "isp-ardness-2026");
    assert_eq!(fields.lawful_basis.as_deref(), Some("public_task"));
    assert_eq!(fields.created_at.as_deref(), Some("2026-11-16T06:00:42Z"));
    assert_eq!(fields.occurred_at.as_deref(), Some("2026-11-15t07:56:42.5+01:00"));
    assert_eq!(fields.exercise, Some(true));
    assert_eq!(document.body.carried(), br#"{"purpose":"p","tracking_colour":"blue"}"#);
}

#[test]
fn what_the_statement_cannot_use_stays_in_the_body_unchanged() {
    let long = format!("\"{}\"", "a".repeat(CODE_BYTES_MAX + 1));
    let cases = [
        ("kind", vec!["null", "7", r#""about Jo Pemberwick""#, r#""""#, long.as_str()]),
        ("urgency", vec!["null", "[]", r#""very urgent""#, r#""dringend!""#, long.as_str()]),
        ("class", vec!["{}", "false", r#""bien-être""#]),
        ("lawful_basis", vec!["6.1", r#""6(1)(e)""#]),
        ("agreement", vec!["2026", r#""the old one""#]),
        ("reply_to", vec!["null", r#""hv-ardness""#, r#"["hv-ardness/duty"]"#]),
        ("created_at", vec!["20261116", r#""yesterday""#, r#""""#]),
        ("occurred_at", vec!["null", r#""2026-11-16 06:00""#]),
        ("exercise", vec!["1", r#""true""#, "null"]),
    ];
    for (name, values) in cases {
        for value in values {
            let whole = line(&format!(",\"{name}\":{value}"));
            let document = parse(&whole);
            let expected = format!("{{\"{name}\":{value}}}");
            assert_eq!(document.body.carried(), expected.as_bytes());
            let fields = &document.fields;
            let outside = [&fields.kind, &fields.urgency, &fields.class, &fields.lawful_basis];
            assert!(outside.iter().all(|field| field.is_none()), "{name} {value}");
            assert!(fields.agreement.is_none() && fields.reply_to.is_none());
            assert!(fields.created_at.is_none() && fields.occurred_at.is_none());
            assert!(fields.exercise.is_none());
            assert_eq!(document.to_json(), serde_json::from_str::<Value>(&whole).unwrap());
        }
    }
}

#[test]
fn code_fields_are_taken_at_their_bounds() {
    let code = "a".repeat(CODE_BYTES_MAX);
    let time = "1".repeat(TIMESTAMP_BYTES_MAX);
    let fields = parse(line(&format!(r#","class":"{code}","created_at":"{time}""#))).fields;
    assert_eq!((fields.class, fields.created_at), (Some(code), Some(time.clone())));
    let fields = parse(line(&format!(r#","created_at":"1{time}""#))).fields;
    assert_eq!(fields.created_at, None);
}

#[test]
fn recipients_are_kept_as_written_repeats_and_all() {
    let document = parse(r#"{"from":"gp","reference":"r","to":["b/x","a/x","b/x","","no inbox"]}"#);
    assert_eq!(document.fields.to, ["b/x", "a/x", "b/x", "", "no inbox"]);
}

#[test]
fn a_statement_field_hidden_in_a_body_does_not_replace_the_statement_s() {
    let document = parse(line(r#","urgency":"urgent""#));
    let body = Body::parse(br#"{"urgency":"information","from":"police","x":1}"#).unwrap();
    let whole = reassemble(&document.fields, &body);
    assert_eq!((&whole["urgency"], &whole["from"]), (&json!("urgent"), &json!("hv-ardness")));
    assert_eq!(whole["x"], json!(1));
}

// --- the body's two forms ---

#[test]
fn canonical_is_rfc_8785() {
    let canonical =
        |body: &str| String::from_utf8(Body::parse(body.as_bytes()).unwrap().canonical());
    // RFC 8785, 3.2.2 and 3.2.3.
    let body = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
        "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
    assert_eq!(
        canonical(body).unwrap(),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
         \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    );
    // Keys are ordered by UTF-16 code units: the surrogates of 😀 come before U+FB33.
    let body = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
    assert_eq!(
        canonical(body).unwrap(),
        "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
    );
    assert_eq!(
        canonical(r#"{"a":[-0,0.0,100000000000000000001,1e21]}"#).unwrap(),
        r#"{"a":[0,0,100000000000000000000,1e+21]}"#
    );
}

#[test]
fn sameness_does_not_see_order_spacing_or_spelling() {
    let one = Body::parse(br#"{"b":1.0,"a":"\u00e9"}"#).unwrap();
    let two = Body::parse("{ \"a\" : \"é\", \"b\" : 1 }".as_bytes()).unwrap();
    assert_eq!(one.canonical(), two.canonical());
    assert_ne!(one.carried(), two.carried());
}

#[test]
fn carried_keeps_every_digit() {
    let body = br#"{"a":[1605169684.000,12345678901234567890123,0.1000000000000000000001,-0]}"#;
    assert_eq!(Body::parse(body).unwrap().carried(), body);
    assert_eq!(Body::parse(br#"{"a":1E5}"#).unwrap().carried(), br#"{"a":1e+5}"#);
}

#[test]
fn a_body_fits_at_its_bound_and_not_one_past() {
    let body = |bytes: usize, beside: Value| {
        let mut body = json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
        body.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        Body::parse(body.to_string().as_bytes()).unwrap()
    };
    assert_eq!(body(BODY_BYTES_MAX, json!({})).canonical().len(), BODY_BYTES_MAX);
    assert!(!body(BODY_BYTES_MAX, json!({})).is_too_large());
    assert!(body(BODY_BYTES_MAX + 1, json!({})).is_too_large());
    // A statement field that could not be used outside travels inside and is not counted...
    let misfit = json!({ "created_at": "last Tuesday", "urgency": 7 });
    assert!(!body(BODY_BYTES_MAX, misfit.clone()).is_too_large());
    assert!(body(BODY_BYTES_MAX + 1, misfit).is_too_large());
    // ... within what can be carried at all.
    let huge = json!({ "urgency": "x".repeat(CARRIED_BODY_BYTES_MAX) });
    assert!(body(9, huge).is_too_large());
}

#[test]
fn a_body_that_only_its_digits_make_too_long_is_carried_canonically() {
    let with_zeros = |zeros: usize| {
        let digits = "0".repeat(zeros);
        Body::parse(format!(r#"{{"a":1.{digits}}}"#).as_bytes()).unwrap().carried()
    };
    let fits = CARRIED_BODY_BYTES_MAX - r#"{"a":1.}"#.len();
    assert_eq!(with_zeros(fits).len(), CARRIED_BODY_BYTES_MAX);
    assert_eq!(with_zeros(fits + 1), br#"{"a":1}"#);
}

// --- properties ---

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("urgent")),
        Just(Value::from("a/b")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const FIELDS: [&str; 16] = [
    "kind",
    "reply_to",
    "urgency",
    "class",
    "agreement",
    "lawful_basis",
    "created_at",
    "occurred_at",
    "exercise",
    "purpose",
    "action_requested",
    "concern",
    "child",
    "told",
    "people",
    "tracking_colour",
];

proptest! {
    #[test]
    fn nothing_is_lost_between_parting_and_putting_together(
        values in prop::collection::btree_map(prop::sample::select(&FIELDS[..]), any_json(), 0..8),
        recipients in prop::collection::btree_set(any::<String>(), 1..5),
    ) {
        let mut whole = json!({"from": "gp", "reference": "r", "to": recipients});
        for (name, value) in values {
            whole[name] = value;
        }
        let document = Document::parse(whole.to_string().as_bytes()).unwrap();
        let flags = document.flags();
        prop_assert!(flags.contains(&Flag::UnknownCode) || whole["concern"].is_object());
        prop_assert_eq!(document.to_json(), whole);
        let carried = Body::parse(&document.body.carried()).unwrap();
        prop_assert_eq!(carried.canonical(), document.body.canonical());
        let canonical = Body::parse(&document.body.canonical()).unwrap();
        prop_assert_eq!(canonical.canonical(), document.body.canonical());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&bytes);
    }

    #[test]
    fn no_damage_to_a_line_makes_the_parser_panic(at in 0usize..160, byte: u8) {
        let mut whole = line(COMPLETE).into_bytes();
        let at = at % whole.len();
        whole[at] = byte;
        if let Ok(document) = Document::parse(&whole) {
            let again = Body::parse(&document.body.carried()).unwrap();
            prop_assert_eq!(again.canonical(), document.body.canonical());
        }
    }
}
