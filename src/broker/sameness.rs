//! Whether two statements under one request id say the same.
//!
//! First the envelope's bytes. Else every signed field but flags, seal and system,
//! with recipients as a set; the body through its content tag, since two sealings
//! of one body never look alike.
//!
//! Holds: I8. Knows: proto.

use crate::proto::{self, Envelope, Statement};

/// Whether two envelopes say the same.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    match (comparable(one), comparable(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

fn comparable(envelope: &[u8]) -> Option<Statement> {
    let envelope: Envelope = proto::decode(envelope).ok()?;
    let mut statement: Statement = proto::decode(&envelope.statement).ok()?;
    statement.flags.clear();
    statement.seal = None;
    statement.system.clear();
    statement.subject_reference.clear();
    statement.to.sort_unstable();
    statement.to.dedup();
    Some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(change: impl FnOnce(&mut Statement)) -> Vec<u8> {
        let mut statement = Statement {
            from: "police-a".into(),
            request_id: vec![7; 16],
            to: vec!["b/duty".into(), "a/duty".into()],
            content_tag: Some(proto::ContentTag { key_id: vec![1; 8], tag: vec![2; 32] }),
            ..Statement::default()
        };
        change(&mut statement);
        proto::encode(&Envelope { statement: proto::encode(&statement), ..Envelope::default() })
    }

    #[test]
    fn order_and_repetition_of_recipients_flags_and_sealing_do_not_matter() {
        let other = envelope(|statement| {
            statement.to = vec!["a/duty".into(), "b/duty".into(), "a/duty".into()];
            statement.flags = vec!["unknown_code".into()];
            statement.seal = Some(proto::Seal::default());
        });
        assert!(same(&envelope(|_| {}), &other));
    }

    #[test]
    fn another_body_recipient_or_date_is_another_statement() {
        let original = envelope(|_| {});
        let tag = proto::ContentTag { key_id: vec![1; 8], tag: vec![3; 32] };
        assert!(!same(&original, &envelope(|statement| statement.content_tag = Some(tag))));
        assert!(!same(&original, &envelope(|statement| statement.to = vec!["a/duty".into()])));
        assert!(!same(&original, &envelope(|statement| statement.created_at = "2026".into())));
    }
}
