//! Cases of WebSocket as text, and a client that plays them.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// How long a client waits for what must come.
const WITHIN: Duration = Duration::from_secs(10);

/// What a client sends to be upgraded, before its own headers.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The members of INFO that are compared.
const INFO_MEMBERS: [&str; 10] = [
    "auth_required",
    "client_ip",
    "connect_info",
    "headers",
    "host",
    "max_payload",
    "proto",
    "remote_account",
    "tls_available",
    "tls_required",
];

/// Servers and cases.
#[derive(Debug, Default)]
pub(crate) struct File {
    head: Vec<String>,
    /// Name and what follows `websocket { host, port,` in the configuration.
    pub(crate) servers: Vec<(String, String)>,
    pub(crate) cases: Vec<Case>,
}

/// What one client does, and what it gets until the connection ends.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) server: String,
    steps: Vec<String>,
    pub(crate) answer: Vec<String>,
}

impl File {
    pub(crate) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "#" => file.head.push(line.to_owned()),
                "server" => {
                    let (name, config) = rest.split_once(' ').expect("a name and a configuration");
                    let config = config.replace("\\n", "\n");
                    file.servers.push((name.to_owned(), config));
                }
                "case" => {
                    let (server, name) = rest.split_once(' ').expect("a server and a name");
                    file.cases.push(Case {
                        name: name.to_owned(),
                        server: server.to_owned(),
                        ..Case::default()
                    });
                }
                "gets" => {
                    let case = file.cases.last_mut().expect("a case");
                    case.answer.push(rest.to_owned());
                }
                _ => {
                    let case = file.cases.last_mut().expect("a case");
                    case.steps.push(line.to_owned());
                }
            }
        }
        file
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.head {
            writeln!(f, "{line}")?;
        }
        writeln!(f)?;
        for (name, config) in &self.servers {
            writeln!(f, "server {name} {}", config.replace('\n', "\\n"))?;
        }
        for case in &self.cases {
            writeln!(f, "\ncase {} {}", case.server, case.name)?;
            for step in &case.steps {
                writeln!(f, "{step}")?;
            }
            for line in &case.answer {
                writeln!(f, "gets {line}")?;
            }
        }
        Ok(())
    }
}

/// Plays a case; returns what came until the connection ended, in a form that does not depend on how it was cut into
/// frames.
pub(crate) fn play(case: &Case, port: u16) -> Vec<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    socket.set_read_timeout(Some(WITHIN)).expect("a timeout");
    socket.set_nodelay(true).expect("no delay");
    let mut got = Vec::new();
    for step in &case.steps {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        let bytes = match word {
            "wait" => {
                read_until(&mut socket, &mut got, &unescape(rest), &case.name);
                continue;
            }
            "end" => {
                socket.shutdown(Shutdown::Write).expect("shut down");
                continue;
            }
            "http" => unescape(rest),
            "upgrade" => [UPGRADE.as_bytes(), &unescape(rest), b"\r\n"].concat(),
            "raw" => unescape(rest),
            kind => {
                let (first, payload) = rest.split_once(' ').unwrap_or((rest, ""));
                let first = u8::from_str_radix(first, 16).expect("a first byte");
                let payload = unescape(payload);
                match kind {
                    "frame" => frame(first, &payload, true),
                    "bare" => frame(first, &payload, false),
                    "zipped" => frame(first, &compressed(&payload), true),
                    other => panic!("unknown step {other}"),
                }
            }
        };
        // The server may have closed already; what it said counts.
        socket.write_all(&bytes).ok();
    }
    loop {
        let mut buffer = [0; 65536];
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => got.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{}: the connection stays open: {error}", case.name),
        }
    }
    describe(&got)
}

fn read_until(socket: &mut TcpStream, got: &mut Vec<u8>, wanted: &[u8], name: &str) {
    // What came may be compressed.
    let is_there = |got: &[u8]| {
        got.windows(wanted.len()).any(|window| window == wanted)
            || describe(got)
                .join("\r\n")
                .contains(&*String::from_utf8_lossy(wanted))
    };
    while !is_there(got) {
        let mut buffer = [0; 65536];
        let read = socket.read(&mut buffer).unwrap_or(0);
        assert!(
            read > 0,
            "{name}: {} did not come, but {:#?}",
            wanted.escape_ascii(),
            describe(got)
        );
        got.extend_from_slice(&buffer[..read]);
    }
}

fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(mask_bit | short as u8),
        Ok(medium) => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    if !masked {
        frame.extend_from_slice(payload);
        return frame;
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 100);
    Compress::new(Compression::fast(), false)
        .compress_vec(bytes, &mut out, FlushCompress::Sync)
        .expect("compressed");
    out.truncate(out.len() - 4);
    out
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let bytes = [bytes, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false)
        .decompress_vec(&bytes, &mut out, FlushDecompress::None)
        .expect("decompressed");
    out
}

/// HTTP answers, the bytes of the client protocol, control frames, in their order.
fn describe(mut rest: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut protocol = Vec::new();
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n")
        && rest.starts_with(b"HTTP/")
    {
        let (head, tail) = rest.split_at(end + 4);
        let head = String::from_utf8_lossy(head);
        rest = tail;
        let mut length = if head.starts_with("HTTP/1.1 101") {
            0
        } else {
            rest.len()
        };
        for line in head.trim_end().split("\r\n") {
            if let Some(bytes) = line.strip_prefix("Content-Length: ") {
                length = bytes.parse().expect("a length");
            }
            lines.push(if line.starts_with("Date: ") {
                "http Date: D".to_owned()
            } else {
                format!("http {line}")
            });
        }
        let (body, tail) = rest.split_at(length.min(rest.len()));
        if !body.is_empty() {
            lines.push(format!("body {}", body.escape_ascii()));
        }
        rest = tail;
    }
    while let Some((first, payload, tail)) = split_frame(rest) {
        rest = tail;
        match first & 0x0f {
            0..=2 if first & 0x40 != 0 => {
                if protocol.is_empty() {
                    lines.push("compressed".to_owned());
                }
                protocol.extend(decompressed(payload));
            }
            0..=2 => protocol.extend_from_slice(payload),
            8 => {
                lines.extend(flush(&mut protocol));
                match payload {
                    [] => lines.push("close".to_owned()),
                    // nats-server says this, or closes without a word, as it happens.
                    [3, 0xea | 0xef, ..] => {}
                    [high, low, text @ ..] => lines.push(format!(
                        "close {} {}",
                        u16::from_be_bytes([*high, *low]),
                        text.escape_ascii()
                    )),
                    [_] => lines.push("close of one byte".to_owned()),
                }
            }
            other => {
                lines.extend(flush(&mut protocol));
                lines.push(format!("control {other} {}", payload.escape_ascii()));
            }
        }
    }
    lines.extend(flush(&mut protocol));
    lines
}

/// The first byte and the payload of the frame at the front, and what follows; `None` if it is not complete.
fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, bytes) = bytes.split_first()?;
    let (second, bytes) = bytes.split_first()?;
    let (length, bytes) = match second {
        126 => {
            let (length, bytes) = bytes.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), bytes)
        }
        127 => {
            let (length, bytes) = bytes.split_first_chunk()?;
            (u64::from_be_bytes(*length), bytes)
        }
        short => (u64::from(*short), bytes),
    };
    let (payload, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    Some((*first, payload, rest))
}

fn flush(protocol: &mut Vec<u8>) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::mem::take(protocol)).into_owned();
    text.split_inclusive("\r\n")
        .map(|line| line.trim_end())
        .map(shown)
        .collect()
}

fn shown(line: &str) -> String {
    let Some(json) = line.strip_prefix("INFO ") else {
        return match line.len() {
            0..200 => line.to_owned(),
            long => format!("{long} bytes"),
        };
    };
    let Ok(info) = serde_json::from_str::<serde_json::Value>(json) else {
        return line.to_owned();
    };
    let members = INFO_MEMBERS
        .iter()
        .filter_map(|name| Some(format!("{name}={}", info.get(name)?)));
    format!("INFO {}", members.collect::<Vec<_>>().join(" "))
}

/// `\r`, `\n`, `\xNN`, and `\*N` after a character that is there N times.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            Some('*') => {
                let digits: String = chars.by_ref().take_while(char::is_ascii_digit).collect();
                let count: usize = digits.parse().expect("a count");
                let last = *out.last().expect("a character");
                out.resize(out.len() + count - 1, last);
            }
            other => panic!("unknown escape {other:?}"),
        }
    }
    out
}
