//! The same notice in the shapes that on-call tools take.
//!
//! Alertmanager's webhook, version 4; PagerDuty's Events API v2; CloudEvents 1.0 as JSON. All
//! notices of one duty of one delivery bear one key, so that tools see one incident.
//!
//! Holds: I12. Knows: clock.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::notice::{Notice, What};
use crate::config::ChannelKind;

/// A body and its content type.
pub(super) fn body(
    kind: ChannelKind,
    notice: &Notice,
    routing_key: &str,
) -> (&'static str, Vec<u8>) {
    let (content, value) = match kind {
        ChannelKind::PagerDuty => ("application/json", pager_duty(notice, routing_key)),
        ChannelKind::CloudEvents => ("application/cloudevents+json", cloud_event(notice)),
        ChannelKind::Alertmanager | ChannelKind::Email => ("application/json", alert(notice)),
    };
    (content, value.to_string().into_bytes())
}

/// What there is to know, for programs.
fn details(notice: &Notice) -> Value {
    json!({
        "concern": notice.concern,
        "entry": notice.entry,
        "sender": notice.sender,
        "addressed": notice.addressed,
        "inbox": notice.inbox,
        "urgency": notice.urgency,
        "not_done": notice.duty.as_str(),
        "told": notice.rung.as_str(),
        "accepted_at": notice.since.rfc3339(),
        "due_at": notice.due.rfc3339(),
        "phone": notice.phone,
        "what_to_do": notice.what_to_do(),
        "link": notice.link,
    })
}

/// How bad it is, in the words that both Alertmanager's users and PagerDuty have.
fn severity(notice: &Notice) -> &'static str {
    match notice.urgency.as_str() {
        "immediate" => "critical",
        "urgent" => "error",
        "prompt" => "warning",
        _ => "info",
    }
}

fn pager_duty(notice: &Notice, routing_key: &str) -> Value {
    let action = match notice.what {
        What::Begun => "trigger",
        What::CaredFor => "acknowledge",
        What::Over => "resolve",
    };
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": notice.incident(),
        "payload": {
            "summary": notice.summary(),
            "source": notice.exchange,
            "severity": severity(notice),
            "timestamp": notice.at.rfc3339(),
            "component": notice.inbox,
            "class": "deadline",
            "custom_details": details(notice),
        },
        "client": "Cairn",
    });
    if !notice.link.is_empty() {
        event["client_url"] = json!(notice.link);
        event["links"] =
            json!([{"href": notice.link, "text": format!("Concern {}", notice.concern)}]);
    }
    event
}

fn alert(notice: &Notice) -> Value {
    let status = if notice.what == What::Over { "resolved" } else { "firing" };
    let ends = match notice.what {
        What::Over => notice.at.rfc3339(),
        _ => "0001-01-01T00:00:00Z".to_owned(),
    };
    let labels = json!({
        "alertname": "CairnConcernWaiting",
        "exchange": notice.exchange,
        "concern": notice.concern.to_string(),
        "inbox": notice.addressed,
        "urgency": notice.urgency,
        "not_done": notice.duty.as_str(),
        "severity": severity(notice),
    });
    let annotations = json!({
        "summary": notice.summary(),
        "description": notice.what_to_do(),
        "told": notice.rung.as_str(),
    });
    let digest = Sha256::digest(notice.incident());
    let fingerprint: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    json!({
        "version": "4",
        "groupKey": notice.incident(),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "cairn",
        "groupLabels": {"alertname": "CairnConcernWaiting"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": notice.link,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": notice.due.min(notice.at).rfc3339(),
            "endsAt": ends,
            "generatorURL": notice.link,
            "fingerprint": fingerprint,
        }],
    })
}

fn cloud_event(notice: &Notice) -> Value {
    let kind = match notice.what {
        What::Begun => "cairn.v1.escalated",
        What::CaredFor => "cairn.v1.cared_for",
        What::Over => "cairn.v1.done",
    };
    let mut data = details(notice);
    data["summary"] = json!(notice.summary());
    json!({
        "specversion": "1.0",
        "id": notice.id(),
        "source": format!("cairn://{}", notice.exchange),
        "type": kind,
        "subject": notice.incident(),
        "time": notice.at.rfc3339(),
        "datacontenttype": "application/json",
        "data": data,
    })
}
