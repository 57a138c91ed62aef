//! The steps of a history, one a line.
//!
//! ```text
//! connect NAME {CONNECT options}          also connect-tls and connect-websocket
//! refuse NAME lines                       connects, sends the lines (separated by |), is closed by the server
//! send NAME lines
//! end NAME lines                          the server closes the connection for it
//! flood NAME SUBJECT BYTES COUNT          publishes
//! request NAME SUBJECT BODY               waits for the reply
//! close NAME
//! gone NAME                               the server has closed the connection of its own accord
//! chance MEMBER                           from here on only the type of such a member counts
//! ignore MEMBER                           the same where a member is left out if it is 0
//! get PATH | http METHOD PATH             shows an answer of monitoring, the latter with its headers
//! ask NAME SUBJECT BODY                   shows a reply
//! events NAME SUBJECT COUNT               shows the next messages on a subject, wildcards allowed, of a connection that only listens
//! ```
//!
//! `{NAME}` in questions stands for a connection's id, `{ID}` for the server's. In CONNECT `{sign SEED}` is the signature of the
//! nonce.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jetsled_protocol::subject;
use jetsled_testkit::{Delivered, Launch, Peer, Server};
use nkeys::KeyPair;
use serde_json::Value;

use super::Shown;
use super::transport::{self, Certificates};
use crate::observed::http;
use crate::observed::lines::{Lines, Mask};

/// How long a connection may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// So long nothing comes where nothing is to come.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) struct History {
    server: Server,
    certificates: Certificates,
    mask: Mask,
    peers: HashMap<String, Peer>,
    /// What came while something else was waited for.
    unread: Vec<Delivered>,
    /// How many connections have ended.
    ended: u64,
    shown: Vec<Shown>,
}

impl History {
    pub(super) fn start(program: &Path, config: &str) -> io::Result<Self> {
        let certificates = Certificates::create()?;
        let server = Launch::of(program)
            .called("nats-server")
            .file("ca.pem", &certificates.ca)
            .file("server.pem", &certificates.server.0)
            .file("server-key.pem", &certificates.server.1)
            .config(config)
            .arg("-m")
            .arg("-1")
            .start()
            .map_err(io::Error::other)?;
        let mut mask = Mask::new();
        // What sublists do for themselves is not the same in two runs of one nats-server.
        for name in [
            "port",
            "seq",
            "pending_bytes",
            "http_req_stats./connz",
            "num_cache",
            "num_inserts",
            "num_removes",
            "num_matches",
            "cache_hit_rate",
            "max_fanout",
            "avg_fanout",
        ] {
            mask.name(name);
        }
        mask.text(server.address().to_string(), "ADDRESS");
        Ok(Self {
            server,
            certificates,
            mask,
            peers: HashMap::new(),
            unread: Vec::new(),
            ended: 0,
            shown: Vec::new(),
        })
    }

    pub(super) fn finish(self) -> Vec<Shown> {
        self.shown
    }

    pub(super) fn step(&mut self, step: &str) -> io::Result<()> {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let (name, more) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "connect" | "connect-tls" | "connect-websocket" => self.connect(verb, name, more)?,
            "refuse" => {
                let mut peer = Peer::connect(self.server.address())?;
                self.note_id(&peer.line()?, name)?;
                peer.send(lines(more))?;
                peer.rest()?;
                self.wait_until_gone()?;
            }
            "send" => {
                let peer = self.peer(name)?;
                peer.send(lines(more))?;
                peer.sync()?;
            }
            "end" => {
                let mut peer = self.take(name)?;
                peer.send(lines(more))?;
                peer.rest()?;
                self.wait_until_gone()?;
            }
            "flood" => self.flood(name, more)?,
            "request" => {
                let (subject, body) = more.split_once(' ').unwrap_or((more, ""));
                self.peer(name)?.request(subject, body.as_bytes())?;
            }
            "close" => {
                self.take(name)?;
                self.wait_until_gone()?;
            }
            "gone" => {
                self.wait_until_gone()?;
                self.take(name)?;
            }
            "chance" => self.mask.name(name),
            "ignore" => self.mask.ignore(name),
            "get" => self.get("GET", rest, step)?,
            "http" => self.get(name, more, step)?,
            "ask" => self.ask(name, more, step)?,
            "events" => self.events(name, more, step)?,
            _ => return Err(io::Error::other("no such step")),
        }
        Ok(())
    }

    fn peer(&mut self, name: &str) -> io::Result<&mut Peer> {
        self.peers
            .get_mut(name)
            .ok_or_else(|| io::Error::other(format!("no connection {name}")))
    }

    fn take(&mut self, name: &str) -> io::Result<Peer> {
        self.peers
            .remove(name)
            .ok_or_else(|| io::Error::other(format!("no connection {name}")))
    }

    fn note_id(&mut self, info: &str, name: &str) -> io::Result<Value> {
        let info: Value = serde_json::from_str(info.trim_start_matches("INFO "))?;
        self.mask.id(&info["client_id"], name);
        self.mask.id(&info["server_id"], "ID");
        Ok(info)
    }

    fn connect(&mut self, verb: &str, name: &str, options: &str) -> io::Result<()> {
        let address = self.server.address();
        let (mut peer, info) = match verb {
            "connect-tls" => transport::over_tls(address, &self.certificates)?,
            "connect-websocket" => {
                let mut peer = Peer::websocket(self.websocket_address()?, "")?;
                let info = peer.line()?;
                (peer, info)
            }
            _ => {
                let mut peer = Peer::connect(address)?;
                let info = peer.line()?;
                (peer, info)
            }
        };
        let info = self.note_id(&info, name)?;
        let nonce = info["nonce"].as_str().unwrap_or_default();
        peer.send(format!("CONNECT {}\r\n", signed(options, nonce)?))?;
        let port = peer.stream().local_addr()?.port();
        self.mask
            .text(format!("_INBOX.testkit.{port:x}."), "INBOX.");
        if peer.sync().is_ok() {
            self.peers.insert(name.to_owned(), peer);
        } else {
            // Refused, which is a part of the history, too.
            drop(peer);
            self.wait_until_gone()?;
        }
        Ok(())
    }

    fn websocket_address(&self) -> io::Result<SocketAddr> {
        let answer = http::request(self.monitor()?, "GET", "/varz")?;
        let varz: Value = serde_json::from_str(&answer.body)?;
        let port = varz["websocket"]["port"].as_u64().unwrap_or_default();
        let port = u16::try_from(port).map_err(io::Error::other)?;
        Ok(SocketAddr::new(self.server.address().ip(), port))
    }

    /// Publishes until the server has closed a slow subscriber, or all of it.
    fn flood(&mut self, name: &str, what: &str) -> io::Result<()> {
        let [subject, size, count] = what.split(' ').collect::<Vec<_>>()[..] else {
            return Err(io::Error::other("wanted SUBJECT BYTES COUNT"));
        };
        let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        let (size, count) = (number(size)?, number(count)?);
        let message = format!("PUB {subject} {size}\r\n{}\r\n", "x".repeat(size));
        let peer = self.peer(name)?;
        for _ in 0..count {
            peer.send(&message)?;
        }
        peer.sync()?;
        Ok(())
    }

    fn monitor(&self) -> io::Result<SocketAddr> {
        self.server
            .monitor_address()
            .ok_or_else(|| io::Error::other("no monitoring"))
    }

    fn wait_until_gone(&mut self) -> io::Result<()> {
        self.ended += 1;
        let until = Instant::now() + GONE_WITHIN;
        loop {
            let answer = http::request(self.monitor()?, "GET", "/connz?state=closed&limit=1")?;
            let closed: Value = serde_json::from_str(&answer.body)?;
            if closed["total"].as_u64() >= Some(self.ended) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(io::Error::other(answer.body));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn get(&mut self, method: &str, path: &str, step: &str) -> io::Result<()> {
        let answer = http::request(self.monitor()?, method, &self.mask.with_ids(path))?;
        let mut lines = Lines::new();
        let head = format!("{} {}", answer.status, answer.content_type());
        lines.insert("answer".to_owned(), head);
        if step.starts_with("http ") {
            for (name, value) in &answer.headers {
                let chance = ["Date", "Content-Length", "Transfer-Encoding"].contains(&&**name);
                if !chance {
                    lines.insert(format!("header {name}"), value.clone());
                }
            }
        }
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(document) => self.mask.flatten("", &document, &mut lines),
            Err(_) if answer.body.starts_with("<html") || answer.body.starts_with("<!doctype") => {
                lines.insert("text".to_owned(), "a page".to_owned());
            }
            Err(_) => {
                lines.insert("text".to_owned(), self.mask.apply(&answer.body));
            }
        }
        self.show(step, lines);
        Ok(())
    }

    fn ask(&mut self, name: &str, request: &str, step: &str) -> io::Result<()> {
        let request = self.mask.with_ids(request);
        let (subject, body) = request.split_once(' ').unwrap_or((&request, ""));
        let peer = self.peer(name)?;
        peer.stream().set_read_timeout(Some(SILENCE))?;
        let answer = peer.request(subject, body.as_bytes());
        peer.stream().set_read_timeout(Some(GONE_WITHIN))?;
        let mut lines = Lines::new();
        match answer {
            Ok(answer) => self.insert(&answer, &mut lines),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                lines.insert("text".to_owned(), "nothing".to_owned());
            }
            Err(error) => return Err(error),
        }
        self.show(step, lines);
        Ok(())
    }

    fn insert(&self, message: &Delivered, lines: &mut Lines) {
        match serde_json::from_slice::<Value>(&message.payload) {
            Ok(document) => self.mask.flatten("", &document, lines),
            Err(_) => {
                let headers = message.headers.trim();
                let text = format!("{headers} {}", message.payload.escape_ascii());
                lines.insert("text".to_owned(), self.mask.apply(&text));
            }
        }
    }

    fn events(&mut self, name: &str, what: &str, step: &str) -> io::Result<()> {
        let what = self.mask.with_ids(what);
        let (pattern, count) = what.split_once(' ').unwrap_or((&what, "1"));
        let count: usize = count.parse().map_err(io::Error::other)?;
        for index in 0..count {
            let event = self.next_event(name, pattern)?;
            let mut lines = Lines::new();
            lines.insert("subject".to_owned(), self.mask.apply(&event.subject));
            self.insert(&event, &mut lines);
            self.show(&format!("{step}, {}", index + 1), lines);
        }
        Ok(())
    }

    fn next_event(&mut self, name: &str, pattern: &str) -> io::Result<Delivered> {
        let fits =
            |event: &Delivered| subject::matches(event.subject.as_bytes(), pattern.as_bytes());
        if let Some(at) = self.unread.iter().position(fits) {
            return Ok(self.unread.remove(at));
        }
        loop {
            let event = self.peer(name)?.message()?;
            if fits(&event) {
                return Ok(event);
            }
            self.unread.push(event);
        }
    }

    /// The order of connections by figures that are a matter of chance is one, too.
    fn show(&mut self, step: &str, mut lines: Lines) {
        const CHANCE: [&str; 6] = ["last", "idle", "uptime", "rtt", "pending", "reason"];
        let of_chance = CHANCE.iter().any(|by| {
            step.contains(&format!("sort={by}")) || step.contains(&format!(r#""sort":"{by}""#))
        });
        lines.retain(|path, _| !(of_chance && path.ends_with("connections.order")));
        self.shown.push((step.to_owned(), lines));
    }
}

fn lines(text: &str) -> String {
    match text {
        "" => String::new(),
        text => text.replace('|', "\r\n") + "\r\n",
    }
}

/// CONNECT's options with `{sign SEED}` replaced.
fn signed(options: &str, nonce: &str) -> io::Result<String> {
    const SIGN: &str = "{sign ";
    let Some((before, rest)) = options.split_once(SIGN) else {
        return Ok(options.to_owned());
    };
    let (seed, after) = rest.split_once('}').unwrap_or((rest, ""));
    let key = KeyPair::from_seed(seed).map_err(io::Error::other)?;
    let signature = key.sign(nonce.as_bytes()).map_err(io::Error::other)?;
    Ok(format!(
        "{before}{}{after}",
        URL_SAFE_NO_PAD.encode(signature)
    ))
}
