//! Statements that tests say: documents, steps, and forgeries.

use cairn::{
    crypto::sign::{STATEMENT_TYPE, sign_dsse},
    domain::document::Document,
    proto::{
        self, Acknowledgement, Decision, Envelope, Feedback, Incoming, Opened, Person, Signature,
        Statement, Stored, SubmitResponse, statement::Act,
    },
    wire::client::{Client, ClientError, compose::About, open},
};
use serde_json::{Value, json};

/// A concern document from an agency to inboxes.
pub fn concern(from: &str, to: &[&str], reference: &str) -> Value {
    json!({
        "kind": "concern", "reference": reference, "from": from, "to": to,
        "urgency": "prompt", "class": "wellbeing", "agreement": "all",
        "lawful_basis": "public_task", "purpose": "to decide what help is needed",
        "action_requested": "for your assessment", "created_at": "2026-11-16T06:00:42Z",
        "concern": {"category": "neglect", "narrative": "A made-up concern."},
        "child": {"given_names": "Marker", "family_name": "Quillfeather"},
        "exercise": true,
    })
}

/// The same with some fields changed.
pub fn with(mut document: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value.is_null() {
            true => drop(document.as_object_mut().unwrap().remove(name)),
            false => document[name] = value.clone(),
        }
    }
    document
}

/// An envelope for a document.
pub fn envelope(client: &Client, document: &Value) -> Vec<u8> {
    let document = Document::parse(document.to_string().as_bytes()).unwrap();
    client.compose(|composer| composer.concern(&document)).unwrap()
}

/// Sends a document.
pub async fn send(client: &Client, document: &Value) -> Result<SubmitResponse, ClientError> {
    client.submit(&envelope(client, document)).await
}

/// Sends a document that is accepted, and gives its entry number.
pub async fn sent(client: &Client, document: &Value) -> u64 {
    send(client, document).await.unwrap().receipt.unwrap().entry
}

/// An envelope changed before it is signed again with the sender's own key.
pub fn resigned(client: &Client, envelope: &[u8], change: impl FnOnce(&mut Statement)) -> Vec<u8> {
    let mut envelope: Envelope = proto::decode(envelope).unwrap();
    let mut statement: Statement = proto::decode(&envelope.statement).unwrap();
    change(&mut statement);
    envelope.statement = proto::encode(&statement);
    let key = &client.folder().signing;
    envelope.signature = Some(Signature {
        key_id: key.key_id().0.to_vec(),
        signature: sign_dsse(key, STATEMENT_TYPE, &envelope.statement).to_vec(),
    });
    proto::encode(&envelope)
}

/// A named person of a test.
pub fn person() -> Option<Person> {
    Some(Person {
        staff_id: String::new(),
        name: "A. Tester".into(),
        post: "duty officer".into(),
        simulated: true,
    })
}

/// Says a step about a delivery under an id of its own.
pub async fn say(
    client: &Client,
    entry: u64,
    inbox: &str,
    act: Act,
) -> Result<SubmitResponse, ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    let about = About { entry, inbox: inbox.parse().unwrap() };
    client.submit(&client.compose(|composer| composer.step(&about, id, act))).await
}

pub fn stored() -> Act {
    Act::Stored(Stored {})
}

pub fn opened() -> Act {
    Act::Opened(Opened { person: person() })
}

pub fn acknowledged() -> Act {
    Act::Acknowledgement(Acknowledgement { person: person() })
}

pub fn decided(outcome: &str) -> Act {
    Act::Decision(Decision { person: person(), outcome: outcome.into(), reason: String::new() })
}

/// Sends feedback about a delivery to the sender's inbox.
pub async fn feedback(
    client: &Client,
    entry: u64,
    inbox: &str,
    reply_to: &str,
) -> Result<SubmitResponse, ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    let about = About { entry, inbox: inbox.parse().unwrap() };
    let to = [reply_to.parse().unwrap()];
    let act = Act::Feedback(Feedback { person: person() });
    let body = json!({"outcome": "assessment", "text": "We are looking into it."});
    let envelope =
        client.compose(|composer| composer.step_with_body(&about, id, &to, act, &body)).unwrap();
    client.submit(&envelope).await
}

/// Opens what came, checked.
pub fn open(client: &Client, incoming: &Incoming) -> open::Opened {
    open::open(client.folder(), &client.directory(), incoming).unwrap()
}
