//! One message by SMTP, to a duty address.
//!
//! Holds: I10, I12. Knows: config, limits.

use std::fs;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};

use super::{Failure, is_here, notice::Notice};
use crate::{
    config::{ChannelSettings, MailTls},
    limits,
};

/// A way to a mail server.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailbox,
}

impl Mail {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, String> {
        let mailbox = |what: &str, text: &str| {
            text.parse::<Mailbox>().map_err(|_| format!("{what} must be an address for e-mail"))
        };
        let (from, to) = (mailbox("from", &settings.from)?, mailbox("to", &settings.to)?);
        let (host, port) = settings
            .server
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
            .ok_or("server must be host:port, such as mail.example.org:587")?;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .timeout(Some(limits::NOTIFY_TIME_MAX))
            .tls(tls(settings, host)?);
        if let Some(path) = &settings.password {
            let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let credentials = Credentials::new(settings.username.clone(), text.trim().to_owned());
            transport = transport.credentials(credentials);
        }
        Ok(Self { transport: transport.build(), from, to })
    }

    /// Sends one notice; taken if the server takes it.
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), Failure> {
        let message = self.message(notice).map_err(|error| Failure::Notice(error.to_string()))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Failure::Notice(error.to_string())),
            Err(error) => Err(Failure::Channel(error.to_string())),
        }
    }

    fn message(&self, notice: &Notice) -> Result<Message, lettre::error::Error> {
        let id = format!("<{}.{}@cairn>", notice.entry, notice.exchange.replace('/', "."));
        let message = Message::builder()
            .from(self.from.clone())
            .to(self.to.clone())
            .subject(notice.summary())
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN);
        let link = match notice.link.as_str() {
            "" => String::new(),
            link => format!("\n\n{link}"),
        };
        message.body(format!(
            "{}.\n\n{}{link}\n\nThis message holds nothing of the concern itself.\n",
            notice.summary(),
            notice.what_to_do()
        ))
    }
}

fn tls(settings: &ChannelSettings, host: &str) -> Result<Tls, String> {
    if settings.mail_tls == MailTls::None {
        return match is_here(host) {
            true => Ok(Tls::None),
            false => Err("mail_tls = \"none\" is for a server on this machine alone".into()),
        };
    }
    let pem = fs::read(&settings.ca).map_err(|e| format!("{}: {e}", settings.ca.display()))?;
    let mut parameters =
        TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for section in pem_sections(&pem) {
        let certificate = Certificate::from_pem(section.as_bytes()).map_err(|e| e.to_string())?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build_rustls().map_err(|error| error.to_string())?;
    Ok(match settings.mail_tls {
        MailTls::Starttls => Tls::Required(parameters),
        MailTls::Tls => Tls::Wrapper(parameters),
        MailTls::None => Tls::None,
    })
}

/// A file of authorities, one by one.
fn pem_sections(pem: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    let parts = text.split_inclusive(END).filter(|part| part.ends_with(END));
    parts.map(str::to_owned).collect()
}
