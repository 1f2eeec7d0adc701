//! An SMTP server for tests (RFC 5321, as much as a mailer needs). It is a real server on loopback that keeps
//! what it is sent, and misbehaves if told to.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmtpBehaviour {
    /// Accepts every mail.
    #[default]
    Accept,
    /// Answers `550` to every recipient.
    RefuseRecipients,
    /// Answers `451` to every recipient.
    Defer,
    /// Answers every recipient so much later.
    Delay(Duration),
    /// Cuts the connection in the middle of the message, and keeps nothing.
    DropInData,
    /// Keeps the mail, and cuts the connection instead of answering, so that the sender cannot know.
    DropAfterData,
}

/// A received mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The addresses of `RCPT TO`.
    pub recipients: Vec<String>,
    /// Names and unfolded values, in order.
    pub headers: Vec<(String, String)>,
    /// The decoded `text/plain` part.
    pub text: String,
    /// The decoded `text/html` part.
    pub html: String,
}

impl ReceivedMail {
    /// Reads a message, such as the bytes of an `.eml` file. If it is not a MIME message, the fields are
    /// empty.
    pub fn parse(message: &[u8]) -> Self {
        let message = String::from_utf8_lossy(message);
        let (headers, _) = split_headers(&message);
        let mut mail = Self { recipients: Vec::new(), headers, text: String::new(), html: String::new() };
        mail.read_part(&message);
        mail
    }

    /// The first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The subject. Empty if there is none.
    pub fn subject(&self) -> &str {
        self.header("subject").unwrap_or_default()
    }

    fn read_part(&mut self, part: &str) {
        let (headers, body) = split_headers(part);
        let content_type = find_header(&headers, "content-type").unwrap_or("text/plain");
        if let Some((_, boundary)) = content_type.split_once("boundary=") {
            let boundary = boundary.split(';').next().unwrap_or_default().trim_matches('"');
            let delimiter = format!("--{boundary}");
            body.split(&delimiter).skip(1).for_each(|part| self.read_part(part.trim_start()));
            return;
        }
        let text = decode(body, find_header(&headers, "content-transfer-encoding").unwrap_or("7bit"));
        if content_type.starts_with("text/html") {
            self.html = text;
        } else if content_type.starts_with("text/plain") && self.text.is_empty() {
            self.text = text;
        }
    }
}

fn split_headers(part: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = part.split_once("\r\n\r\n").unwrap_or((part, ""));
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.lines().filter_map(|line| line.split_once(':'));
    (headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(), body)
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn decode(body: &str, encoding: &str) -> String {
    let bytes = match encoding {
        "quoted-printable" => {
            quoted_printable::decode(body, quoted_printable::ParseMode::Robust).unwrap_or_default()
        }
        "base64" => {
            let digits: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            base64::engine::general_purpose::STANDARD.decode(digits).unwrap_or_default()
        }
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_end().to_owned()
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct SmtpPeer {
    address: SocketAddr,
    shared: Arc<Shared>,
    changes: watch::Receiver<usize>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<SmtpBehaviour>,
    /// What is planned for each recipient, and how often it was named.
    plans: Mutex<HashMap<String, Plan>>,
    connections: AtomicUsize,
    mails: Mutex<Vec<ReceivedMail>>,
    changed: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<SmtpBehaviour>,
    attempts: usize,
}

impl Shared {
    fn plans(&self) -> MutexGuard<'_, HashMap<String, Plan>> {
        self.plans.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How a mail to this recipient is treated now.
    fn treat(&self, recipient: &str) -> SmtpBehaviour {
        let mut plans = self.plans();
        let plan = plans.entry(recipient.to_owned()).or_default();
        plan.attempts += 1;
        plan.next.pop_front().unwrap_or(*self.behaviour())
    }

    fn mails(&self) -> MutexGuard<'_, Vec<ReceivedMail>> {
        self.mails.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn behaviour(&self) -> MutexGuard<'_, SmtpBehaviour> {
        self.behaviour.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn keep(&self, mail: ReceivedMail) {
        let mut mails = self.mails();
        mails.push(mail);
        self.changed.send_replace(mails.len());
    }
}

impl SmtpPeer {
    /// Listens on a free port of the loopback.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on this address, such as that of a stopped server.
    pub async fn start_on(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (changed, changes) = watch::channel(0);
        let shared = Arc::new(Shared {
            behaviour: Mutex::default(),
            plans: Mutex::default(),
            connections: AtomicUsize::default(),
            mails: Mutex::default(),
            changed,
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, changes, server })
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Sets the behaviour from the next recipient or mail on.
    pub fn behave(&self, behaviour: SmtpBehaviour) {
        *self.shared.behaviour() = behaviour;
    }

    /// Sets the behaviour towards this recipient, attempt by attempt. Afterwards it is that of
    /// [`behave`](Self::behave).
    pub fn plan(&self, recipient: &str, behaviours: impl IntoIterator<Item = SmtpBehaviour>) {
        let plan = Plan { next: behaviours.into_iter().collect(), attempts: 0 };
        self.shared.plans().insert(recipient.to_owned(), plan);
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How often a sender has named this recipient.
    pub fn attempts(&self, recipient: &str) -> usize {
        self.shared.plans().get(recipient).map_or(0, |plan| plan.attempts)
    }

    /// All mails so far, oldest first.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.shared.mails().clone()
    }

    /// Waits until `wanted` finds something among the mails so far. `None` after `timeout`.
    pub async fn wait_for<T>(
        &self,
        timeout: Duration,
        wanted: impl Fn(&[ReceivedMail]) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changes.clone();
        let found = async {
            loop {
                changes.mark_unchanged();
                let found = wanted(&self.shared.mails());
                if let Some(found) = found {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, found).await.ok().flatten()
    }

    /// Waits for the first mail to this address whose subject contains `subject`. `None` after `timeout`.
    pub async fn wait_for_mail(&self, timeout: Duration, to: &str, subject: &str) -> Option<ReceivedMail> {
        self.wait_for(timeout, |mails| {
            let is_it = |mail: &&ReceivedMail| {
                mail.recipients.iter().any(|known| known == to) && mail.subject().contains(subject)
            };
            mails.iter().find(is_it).cloned()
        })
        .await
    }

    /// Closes the port and every connection.
    pub async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for SmtpPeer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with the server, which closes every connection.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        shared.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(async move {
            // If a client disconnects in the middle, the server does not mind.
            let _ = converse(stream, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut recipients, mut behaviour) = (Vec::new(), SmtpBehaviour::Accept);
    stream.write_all(b"220 peer.test ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        if verb == "RCPT" {
            let recipient = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            behaviour = shared.treat(&recipient);
            recipients.push(recipient);
            if let SmtpBehaviour::Delay(delay) = behaviour {
                tokio::time::sleep(delay).await;
            }
        }
        let answer = match (verb.as_str(), behaviour) {
            ("EHLO", _) => "250-peer.test\r\n250 8BITMIME",
            ("HELO" | "NOOP", _) => "250 OK",
            ("MAIL" | "RSET", _) => {
                recipients.clear();
                "250 OK"
            }
            ("RCPT", SmtpBehaviour::RefuseRecipients) => "550 5.1.1 No such mailbox here",
            ("RCPT", SmtpBehaviour::Defer) => "451 4.3.0 Try again later",
            ("RCPT", _) => "250 OK",
            ("DATA", _) => {
                stream.write_all(b"354 End with a line of one dot\r\n").await?;
                if behaviour == SmtpBehaviour::DropInData {
                    stream.read_line(&mut String::new()).await?;
                    return Ok(());
                }
                let mut mail = ReceivedMail::parse(&read_data(&mut stream).await?);
                mail.recipients = std::mem::take(&mut recipients);
                shared.keep(mail);
                if behaviour == SmtpBehaviour::DropAfterData {
                    return Ok(());
                }
                "250 OK, it is here"
            }
            ("QUIT", _) => {
                return stream.write_all(b"221 Bye\r\n").await;
            }
            _ => "502 5.5.1 Not known here",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// The message up to the line with a single dot, with leading dots unescaped.
async fn read_data(stream: &mut (impl AsyncBufReadExt + AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
