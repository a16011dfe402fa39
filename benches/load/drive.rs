//! The closed loop: connections that rotate their families' tokens, and check what they are answered.
//!
//! HTTP is written and read by hand, with just as much of it as this server's answers need. A socket is only read
//! when epoll says that there is something, so two threads serve all connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use authd::clock::monotonic;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::Result;
use crate::server;

/// What the driver calls itself, and sessions were seeded with: a rotation by the same device is the ordinary one.
pub const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Threads of the driver. One is enough for rotations; `/healthz` takes two.
const THREADS: usize = 2;

/// An answer that takes longer is an error, and its connection is not used any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is looked at.
const BUFFER: usize = 8 * 1024;

/// Bytes of a refresh token's text, and how many of its letters say family and generation (21 bytes of 20).
const TOKEN_LENGTH: usize = 94;
const PREFIX: &[u8] = b"ar_";
const NAME_LETTERS: usize = 28;

/// A refresh token, as text.
#[derive(Clone, Copy)]
pub struct Token([u8; TOKEN_LENGTH]);

impl Token {
    /// The token with this text, if it has the form of one.
    pub fn read(text: &[u8]) -> Option<Token> {
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let token = Token(text.try_into().ok()?);
        (text.starts_with(PREFIX) && text.iter().all(is_letter)).then_some(token)
    }

    /// Family and generation.
    fn name(&self) -> Option<([u8; 16], u32)> {
        let letters = &self.0[PREFIX.len()..PREFIX.len() + NAME_LETTERS];
        let mut bytes = [0; 21];
        URL_SAFE_NO_PAD.decode_slice(letters, &mut bytes).ok()?;
        let generation = u32::from_be_bytes(bytes[16..20].try_into().ok()?);
        Some((bytes[..16].try_into().ok()?, generation))
    }

    fn is_succeeded_by(&self, next: &Token) -> bool {
        match (self.name(), next.name()) {
            (Some((family, generation)), Some(successor)) => successor == (family, generation + 1),
            _ => false,
        }
    }
}

/// When a phase ends.
#[derive(Clone, Copy)]
pub enum Limit {
    /// After this time; requests that are under way are finished.
    Time(Duration),
    /// After about this many requests.
    Count(u64),
}

/// All connections.
pub struct Driver {
    shares: Vec<Share>,
}

/// The connections of one thread.
struct Share(Vec<Connection>);

struct Connection {
    socket: TcpStream,
    /// The request, with the token in its place.
    request: Vec<u8>,
    families: Vec<Token>,
    /// Whose turn it is.
    at: usize,
    answer: Box<[u8; BUFFER]>,
    filled: usize,
    sent: Instant,
    is_open: bool,
}

/// What came of a phase.
pub struct Tally {
    /// Requests that were answered as they should be.
    pub done: u64,
    /// How long the phase took.
    pub took: Duration,
    /// Processor time of the driver in it.
    pub cpu: Duration,
    /// In microseconds, in order.
    latencies: Vec<u32>,
    errors: Vec<String>,
}

impl Tally {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        (self.done as f64 / self.took.as_secs_f64()).round()
    }

    /// The time that `part` of the requests took at most.
    pub fn latency(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        let micros = self.latencies.get(at).copied().unwrap_or_default();
        Duration::from_micros(micros.into())
    }

    pub fn errors(&self) -> usize {
        self.errors.len()
    }

    pub fn first_error(&self) -> Option<&str> {
        self.errors.first().map(String::as_str)
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Subject {
    Rotation,
    Health,
}

impl Driver {
    /// `count` connections to `server`, among which `tokens` are dealt out.
    pub fn new(server: SocketAddr, tokens: Vec<Token>, count: u32) -> Result<Driver> {
        let count = (count as usize).min(tokens.len());
        let mut families = vec![Vec::with_capacity(tokens.len() / count + 1); count];
        for (n, token) in tokens.into_iter().enumerate() {
            families[n % count].push(token);
        }
        let mut shares: Vec<Share> = (0..THREADS).map(|_| Share(Vec::new())).collect();
        for (n, families) in families.into_iter().enumerate() {
            shares[n % THREADS]
                .0
                .push(Connection::open(server, families)?);
        }
        Ok(Driver { shares })
    }

    /// Goes on with a server that was started anew.
    pub fn reconnect(&mut self, server: SocketAddr) -> Result<()> {
        for connection in self.shares.iter_mut().flat_map(|share| &mut share.0) {
            *connection = Connection::open(server, std::mem::take(&mut connection.families))?;
        }
        Ok(())
    }

    /// Rotates until `limit`.
    pub fn rotate(&mut self, limit: Limit) -> Result<Tally> {
        self.run(Subject::Rotation, limit)
    }

    /// Asks for `/healthz` for as long as `time`: what the HTTP engine, the sockets and this driver can do.
    pub fn look_at_health(&mut self, time: Duration) -> Result<Tally> {
        self.run(Subject::Health, Limit::Time(time))
    }

    fn run(&mut self, subject: Subject, limit: Limit) -> Result<Tally> {
        let (begun, cpu) = (monotonic(), server::own_cpu()?);
        let limit = match limit {
            Limit::Count(count) => Limit::Count(count / THREADS as u64),
            time => time,
        };
        let parts = thread::scope(|scope| {
            let threads: Vec<_> = self
                .shares
                .iter_mut()
                .map(|share| scope.spawn(move || share.run(subject, limit)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    let failed = Err(io::Error::other("a thread of the driver panicked"));
                    thread.join().unwrap_or(failed)
                })
                .collect::<io::Result<Vec<Part>>>()
        })?;
        let mut tally = Tally {
            done: 0,
            took: begun.elapsed(),
            cpu: server::own_cpu()?.saturating_sub(cpu),
            latencies: Vec::new(),
            errors: Vec::new(),
        };
        for part in parts {
            tally.done += part.latencies.len() as u64;
            tally.latencies.extend(part.latencies);
            tally.errors.extend(part.errors);
        }
        tally.latencies.sort_unstable();
        Ok(tally)
    }
}

/// What came of a phase in one thread.
struct Part {
    latencies: Vec<u32>,
    errors: Vec<String>,
}

impl Share {
    fn run(&mut self, subject: Subject, limit: Limit) -> io::Result<Part> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let begun = monotonic();
        let mut under_way = 0;
        for (n, connection) in self.0.iter_mut().enumerate() {
            if connection.is_open {
                let data = EventData::new_u64(n as u64);
                epoll::add(&poll, &connection.socket, data, EventFlags::IN)?;
                connection.ask(subject)?;
                under_way += 1;
            }
        }
        let (mut latencies, mut errors) = (Vec::new(), Vec::new());
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(self.0.len().max(1));
        while under_way > 0 {
            events.clear();
            epoll::wait(
                &poll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&patience),
            )?;
            if events.is_empty() {
                errors.push(format!("{under_way} requests were not answered in 30 s"));
                return Ok(Part { latencies, errors });
            }
            for event in &events {
                let event: epoll::Event = *event;
                let connection = &mut self.0[event.data.u64() as usize];
                match connection.take(subject) {
                    Ok(None) => continue,
                    Ok(Some(took)) => {
                        latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
                    }
                    Err(error) => {
                        errors.push(error.to_string());
                        connection.give_up();
                    }
                }
                let goes_on = match limit {
                    Limit::Time(time) => begun.elapsed() < time,
                    Limit::Count(count) => latencies.len() as u64 + under_way <= count,
                };
                if goes_on && connection.is_open {
                    connection.ask(subject)?;
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(Part { latencies, errors })
    }
}

impl Connection {
    fn open(server: SocketAddr, families: Vec<Token>) -> Result<Connection> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let head = format!(
            "POST /v1/sessions/refresh HTTP/1.1\r\nHost: {server}\r\nUser-Agent: {USER_AGENT}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{{\"refresh_token\":\"",
            TOKEN_LENGTH + r#"{"refresh_token":""}"#.len(),
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(&[0; TOKEN_LENGTH]);
        request.extend_from_slice(b"\"}");
        Ok(Connection {
            socket,
            request,
            families,
            at: 0,
            answer: Box::new([0; BUFFER]),
            filled: 0,
            sent: monotonic(),
            is_open: true,
        })
    }

    /// Sends the next request. It is shorter than any socket's buffer, which is empty at this time.
    fn ask(&mut self, subject: Subject) -> io::Result<()> {
        self.filled = 0;
        let request = match subject {
            Subject::Rotation => {
                let place = self.request.len() - 2 - TOKEN_LENGTH;
                let token = &self.families[self.at].0;
                self.request[place..place + TOKEN_LENGTH].copy_from_slice(token);
                self.request.as_slice()
            }
            Subject::Health => b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        self.sent = monotonic();
        self.socket.write_all(request)
    }

    /// Takes what there is of an answer. `None` as long as it isn't whole, and then how long it took.
    fn take(&mut self, subject: Subject) -> io::Result<Option<Duration>> {
        match self.socket.read(&mut self.answer[self.filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let took = self.sent.elapsed();
        let answer = &self.answer[..self.filled];
        let Some(body) = whole_body(answer) else {
            return Ok(None);
        };
        let text = || io::Error::other(String::from_utf8_lossy(answer).into_owned());
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(text());
        }
        if let Subject::Rotation = subject {
            let family = &mut self.families[self.at];
            let successor = successor(body).filter(|next| family.is_succeeded_by(next));
            *family = successor.ok_or_else(text)?;
            self.at = (self.at + 1) % self.families.len();
        }
        Ok(Some(took))
    }

    /// Its families may be in any state now, so it is not used any more.
    fn give_up(&mut self) {
        self.is_open = false;
    }
}

/// The body, if the answer is whole.
fn whole_body(answer: &[u8]) -> Option<&[u8]> {
    const LENGTH: &[u8] = b"content-length: ";
    let head = find(answer, b"\r\n\r\n")? + 4;
    let digits = &answer[find(answer, LENGTH)? + LENGTH.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let length: usize = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    answer.get(head..head + length)
}

/// The refresh token of an answer that also has an access token of three parts.
fn successor(body: &[u8]) -> Option<Token> {
    let access = member(body, b"\"access_token\":\"")?;
    let parts = access.split(|byte| *byte == b'.');
    let is_signed = parts.clone().count() == 3 && parts.into_iter().all(|part| !part.is_empty());
    let refresh = member(body, b"\"refresh_token\":\"")?;
    Token::read(refresh).filter(|_| is_signed)
}

/// The text after `name`, up to the next quotation mark: no token has one inside.
fn member<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = &body[find(body, name)? + name.len()..];
    let end = value.iter().position(|byte| *byte == b'"')?;
    Some(&value[..end])
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
