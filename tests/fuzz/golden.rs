//! The golden vectors of sealing, which every client of Cairn reads.

use std::sync::OnceLock;

use serde_json::Value;

/// The sealed body of the vectors.
pub struct Golden {
    /// What it is bound to.
    pub exchange: String,
    /// See above.
    pub sender: String,
    /// See above.
    pub request_id: Vec<u8>,
    /// What was sealed.
    pub body: Vec<u8>,
    recipients: Vec<Recipient>,
    head: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// Who can open it.
pub struct Recipient {
    /// Its agency.
    pub agency: String,
    /// The seed of its key.
    pub seed: [u8; 32],
    wrap: Vec<u8>,
}

impl Golden {
    /// The vectors, read once.
    pub fn read() -> &'static Self {
        static GOLDEN: OnceLock<Golden> = OnceLock::new();
        GOLDEN.get_or_init(|| {
            let vectors = include_str!("../golden/vectors.json");
            let vectors: Value = serde_json::from_str(vectors).expect("the golden vectors");
            Self::of(&vectors["seal"])
        })
    }

    fn of(seal: &Value) -> Self {
        let recipients = seal["recipients"].as_array().expect("recipients").iter().map(|one| {
            let seed = hex(&one["seed_hex"]).try_into().expect("a seed");
            let wrap = [base64(&one["enc_base64"]), hex(&one["wrapped_hex"])].concat();
            Recipient { agency: text(&one["agency"]), seed, wrap }
        });
        Self {
            exchange: text(&seal["exchange"]),
            sender: text(&seal["sender"]),
            request_id: hex(&seal["request_id_hex"]),
            body: text(&seal["body_utf8"]).into_bytes(),
            recipients: recipients.collect(),
            head: [hex(&seal["nonce_hex"]), hex(&seal["key_commitment_hex"])].concat(),
            ciphertext: base64(&seal["ciphertext_base64"]),
        }
    }

    /// The recipient that a byte chooses.
    pub fn recipient(&self, choice: u8) -> &Recipient {
        &self.recipients[usize::from(choice) % self.recipients.len()]
    }

    /// What each recipient gets, with the byte that chooses it in front.
    pub fn inputs(&self) -> impl Iterator<Item = Vec<u8>> {
        self.recipients.iter().enumerate().map(|(at, recipient)| {
            [&[at as u8][..], &self.head, &recipient.wrap, &self.ciphertext].concat()
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hex").as_bytes();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("hex");
        u8::from_str_radix(pair, 16).expect("hex")
    };
    digits.chunks(2).map(byte).collect()
}

fn base64(value: &Value) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(value.as_str().expect("base64")).expect("base64")
}
