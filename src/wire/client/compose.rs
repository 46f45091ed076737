//! Makes envelopes: statements signed, bodies sealed, everything bound together.
//!
//! Flags and the content tag are computed here, while the body is still open. The
//! keys to seal to come from the client's own fold of the directory, whose
//! signatures it has checked.
//!
//! Holds: I8, I12, I13. Knows: crypto, domain, directory, proto, clock.

use std::borrow::Borrow;

use super::folder::SystemFolder;
use crate::{
    clock::Moment,
    crypto::{
        seal::{self, ContentKey, SealContext, SealError, Sealed, SealingPublicKey},
        sign::{STATEMENT_TYPE, sign_dsse},
    },
    directory::Directory,
    domain::{document::Document, ids::InboxId, refusal::Refusal},
    proto::{
        self, Concern, ContentTag, Envelope, Seal, SealedBody, Signature, Statement, Wrap,
        WrapDigest, statement::Act,
    },
};

/// Why an envelope could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// What the exchange would refuse anyway.
    #[error("{0}")]
    Refused(Refusal),
    /// The body could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// One holder of a wrap: an inbox, or an agreement's review key.
struct Holder {
    inbox: String,
    agreement: String,
    /// The receiving agency, or the agreement, as the wrap's context names it.
    context: String,
    key: SealingPublicKey,
}

/// Makes the statements of one system.
pub struct Composer<'a> {
    folder: &'a SystemFolder,
    directory: &'a Directory,
    now: Moment,
}

/// What a step is about.
pub struct About {
    /// The entry it answers.
    pub entry: u64,
    /// The inbox whose delivery it is about.
    pub inbox: InboxId,
}

impl<'a> Composer<'a> {
    /// With the directory as the client last saw it.
    pub fn new(folder: &'a SystemFolder, directory: &'a Directory, now: Moment) -> Self {
        Self { folder, directory, now }
    }

    /// The request id of a document: the same document gives the same id for ever.
    pub fn request_id(&self, document: &Document) -> [u8; 16] {
        let from = self.folder.settings.agency.as_str();
        self.folder.secret.request_id(from, &document.fields.reference)
    }

    /// An envelope for a concern document. Recipients that the directory does not
    /// have get no wrap; the exchange will refuse, naming them, unless the document
    /// repeats one it accepted.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`]; no randomness.
    pub fn concern(&self, document: &Document) -> Result<Vec<u8>, ComposeError> {
        let canonical = document.body.canonical();
        if document.body.is_too_large() {
            return Err(ComposeError::Refused(Refusal::BodyTooLarge));
        }
        let fields = &document.fields;
        let request_id = self.request_id(document);
        let agreement = fields.agreement.as_ref().map(|id| id.as_str()).unwrap_or_default();
        let holders = self.holders(&fields.to, agreement);
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let statement = Statement {
            request_id: request_id.to_vec(),
            to: fields.to.clone(),
            reply_to: fields.reply_to.as_ref().map(ToString::to_string).unwrap_or_default(),
            created_at: text(&fields.created_at),
            exercise: fields.exercise,
            flags: document.flags().iter().map(|flag| flag.as_str().to_owned()).collect(),
            content_tag: Some(self.tag(&request_id, &canonical)),
            act: Some(Act::Concern(Concern {
                kind: text(&fields.kind),
                reference: fields.reference.clone(),
                urgency: text(&fields.urgency),
                class: text(&fields.class),
                agreement: agreement.to_owned(),
                lawful_basis: text(&fields.lawful_basis),
                occurred_at: text(&fields.occurred_at),
            })),
            ..self.statement()
        };
        self.sealed(statement, &document.body.carried(), &holders)
    }

    /// A step that has no body of its own: stored, opened, acknowledged, decided.
    pub fn step(&self, about: &About, request_id: [u8; 16], act: Act) -> Vec<u8> {
        let statement = Statement {
            request_id: request_id.to_vec(),
            answers: Some(about.entry),
            inbox: about.inbox.to_string(),
            act: Some(act),
            ..self.statement()
        };
        self.signed(&statement, None)
    }

    /// A step with a sealed body for these inboxes: feedback.
    ///
    /// # Errors
    /// No randomness, or a body past its bound.
    pub fn step_with_body(
        &self,
        about: &About,
        request_id: [u8; 16],
        to: &[InboxId],
        act: Act,
        body: &serde_json::Value,
    ) -> Result<Vec<u8>, ComposeError> {
        let canonical = serde_json_canonicalizer::to_vec(body).unwrap_or_default();
        let to: Vec<String> = to.iter().map(ToString::to_string).collect();
        let holders = self.holders(&to, "");
        let statement = Statement {
            request_id: request_id.to_vec(),
            answers: Some(about.entry),
            inbox: about.inbox.to_string(),
            to,
            content_tag: Some(self.tag(&request_id, &canonical)),
            act: Some(act),
            ..self.statement()
        };
        self.sealed(statement, &canonical, &holders)
    }

    /// A step that wraps an earlier body's content key for another inbox and those
    /// that may stand in for it: a redirection or a resealing.
    pub fn step_with_wraps(
        &self,
        about: &About,
        request_id: [u8; 16],
        next: &InboxId,
        (key, body_sha256): (&ContentKey, &[u8]),
        act: Act,
    ) -> Vec<u8> {
        let holders = self.holders(&[next.to_string()], "");
        let context = self.context(&request_id);
        let wraps: Vec<Wrap> = holders
            .iter()
            .map(|holder| {
                wire_wrap(holder, seal::wrap_key(key, &context, &holder.context, &holder.key))
            })
            .collect();
        let statement = Statement {
            request_id: request_id.to_vec(),
            answers: Some(about.entry),
            inbox: about.inbox.to_string(),
            seal: Some(seal_of(body_sha256.to_vec(), key.commitment(), &wraps)),
            act: Some(act),
            ..self.statement()
        };
        let body = SealedBody { nonce: Vec::new(), ciphertext: Vec::new(), wraps };
        self.signed(&statement, Some(body))
    }

    /// Taking a statement back.
    pub fn withdrawal(&self, entry: u64, request_id: [u8; 16], reason: &str) -> Vec<u8> {
        let act = Act::Withdrawal(proto::Withdrawal { reason: reason.to_owned() });
        self.of_sender(entry, request_id, act)
    }

    /// What the sender says of its own concern, and no inbox does.
    pub fn of_sender(&self, entry: u64, request_id: [u8; 16], act: Act) -> Vec<u8> {
        let statement = Statement {
            request_id: request_id.to_vec(),
            answers: Some(entry),
            act: Some(act),
            ..self.statement()
        };
        self.signed(&statement, None)
    }

    /// An envelope for what an agency says of no entry.
    pub fn of_agency(&self, request_id: [u8; 16], act: Act) -> Vec<u8> {
        let statement =
            Statement { request_id: request_id.to_vec(), act: Some(act), ..self.statement() };
        self.signed(&statement, None)
    }

    fn statement(&self) -> Statement {
        let settings = &self.folder.settings;
        Statement {
            exchange: settings.exchange.to_string(),
            from: settings.agency.to_string(),
            system: settings.system.to_string(),
            ..Statement::default()
        }
    }

    fn context<'c>(&'c self, request_id: &'c [u8]) -> SealContext<'c> {
        let settings = &self.folder.settings;
        SealContext {
            exchange: settings.exchange.as_str(),
            sender: settings.agency.as_str(),
            request_id,
        }
    }

    fn tag(&self, request_id: &[u8], canonical: &[u8]) -> ContentTag {
        ContentTag {
            key_id: self.folder.secret.key_id().0.to_vec(),
            tag: self.folder.secret.content_tag(request_id, canonical).to_bytes().to_vec(),
        }
    }

    /// Everyone who may come to open it: recipients, stand-ins, the review key.
    fn holders(&self, to: &[impl Borrow<str>], agreement: &str) -> Vec<Holder> {
        let mut inboxes: Vec<InboxId> = Vec::new();
        for inbox in to.iter().filter_map(|name| name.borrow().parse::<InboxId>().ok()) {
            if !inboxes.contains(&inbox) {
                inboxes.push(inbox);
            }
        }
        let stand_ins = self.directory.stand_ins(&inboxes);
        let mut holders: Vec<Holder> = inboxes
            .iter()
            .chain(&stand_ins)
            .filter_map(|inbox| {
                let known = self.directory.sealing_key(inbox, self.now)?;
                Some(Holder {
                    inbox: inbox.to_string(),
                    agreement: String::new(),
                    context: inbox.agency().to_string(),
                    key: SealingPublicKey::from_bytes(&known.record.public_key).ok()?,
                })
            })
            .collect();
        // Only a party has signed the agreement, and with it the review key.
        let own = self.folder.settings.agency.as_str();
        let known = self.directory.agreement(agreement);
        let review = known
            .filter(|known| known.parties.iter().any(|party| party == own))
            .map(|known| &known.review_key);
        if let Some(Ok(key)) = review.map(|key| SealingPublicKey::from_bytes(key)) {
            let (agreement, inbox) = (agreement.to_owned(), String::new());
            holders.push(Holder { inbox, context: agreement.clone(), agreement, key });
        }
        holders
    }

    fn sealed(
        &self,
        mut statement: Statement,
        body: &[u8],
        holders: &[Holder],
    ) -> Result<Vec<u8>, ComposeError> {
        if holders.is_empty() {
            return Ok(self.signed(&statement, None));
        }
        let request_id = statement.request_id.clone();
        let recipients: Vec<(&str, &SealingPublicKey)> =
            holders.iter().map(|holder| (holder.context.as_str(), &holder.key)).collect();
        let sealed = seal::seal(body, &self.context(&request_id), &recipients)?;
        let Sealed { nonce, ciphertext, key_commitment, wraps } = sealed;
        let wraps: Vec<Wrap> =
            holders.iter().zip(wraps).map(|(holder, wrap)| wire_wrap(holder, wrap)).collect();
        let digest = seal::body_digest(&nonce, &ciphertext).to_vec();
        statement.seal = Some(seal_of(digest, key_commitment, &wraps));
        let body = SealedBody { nonce: nonce.to_vec(), ciphertext, wraps };
        Ok(self.signed(&statement, Some(body)))
    }

    fn signed(&self, statement: &Statement, body: Option<SealedBody>) -> Vec<u8> {
        let statement = proto::encode(statement);
        let signature = Signature {
            key_id: self.folder.signing.key_id().0.to_vec(),
            signature: sign_dsse(&self.folder.signing, STATEMENT_TYPE, &statement).to_vec(),
        };
        proto::encode(&Envelope { statement, signature: Some(signature), body })
    }
}

fn wire_wrap(holder: &Holder, wrap: seal::Wrap) -> Wrap {
    Wrap {
        inbox: holder.inbox.clone(),
        agreement: holder.agreement.clone(),
        key_id: wrap.key_id.0.to_vec(),
        enc: wrap.enc,
        wrapped: wrap.wrapped,
    }
}

fn seal_of(body_sha256: Vec<u8>, commitment: [u8; 32], wraps: &[Wrap]) -> Seal {
    let digest = |wrap: &Wrap| WrapDigest {
        inbox: wrap.inbox.clone(),
        agreement: wrap.agreement.clone(),
        key_id: wrap.key_id.clone(),
        sha256: seal::wrap_digest(&wrap.enc, &wrap.wrapped).to_vec(),
    };
    Seal {
        suite: seal::SUITE.to_owned(),
        body_sha256,
        key_commitment: commitment.to_vec(),
        wraps: wraps.iter().map(digest).collect(),
    }
}
