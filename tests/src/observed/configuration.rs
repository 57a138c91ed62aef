//! What a server makes of a configuration: its verdict with `-t`, whether it starts, and the options that then hold as
//! INFO, monitoring and the logins of clients show them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;

use jetsled_testkit::{Launch, Peer, Server, StartError};
use parking_lot::Mutex;
use serde_json::Value;

use super::corpus::{Case, Part, START};
use super::http;
use super::lines::{Lines, Mask};
use crate::certificates::Certificates;

/// In configurations it stands for an address of this machine that nobody else uses, so that files may name ports.
const HOST: &str = "127.0.0.1";

/// Members that show the server's own services and what happened to the connections that asked.
const OF_NO_OPTION: &[&str] = &[
    "sublist_stats",
    "subscriptions",
    "connections",
    "client_connections",
    "total_connections",
];

/// How many servers run at the same time: most of a case is waiting.
const AT_ONCE: usize = 6;

/// Runs all cases; the outcomes are in their order.
pub fn observe_all(program: &Path, parts: &[Part]) -> Vec<io::Result<Lines>> {
    let cases: Vec<&Case> = parts.iter().flat_map(|part| &part.cases).collect();
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<io::Result<Lines>>>> =
        cases.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((case, outcome)) = take(&next, &cases, &outcomes) {
                    *outcome.lock() = Some(observe(program, case));
                }
            });
        }
    });
    let missing = || Err(io::Error::other("not run"));
    outcomes
        .into_iter()
        .map(|outcome| outcome.into_inner().unwrap_or_else(missing))
        .collect()
}

fn take<'a, O>(
    next: &AtomicUsize,
    cases: &[&'a Case],
    outcomes: &'a [O],
) -> Option<(&'a Case, &'a O)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).copied().zip(outcomes.get(index))
}

/// Runs a case on a server with nats-server's command line.
///
/// # Errors
///
/// When the program does not run at all, or a connection to it fails.
pub fn observe(program: &Path, case: &Case) -> io::Result<Lines> {
    let mut lines = Lines::new();
    lines.insert("check".to_owned(), check(program, case)?);
    let host = unused_host().to_string();
    let mut launch = launch(program, case, &host)?.address_of_config();
    if !case.names(HOST) {
        launch = launch.arg("-a").arg(&host);
    }
    if !case.names("http") {
        launch = launch.arg("-m").arg("-1");
    }
    let mut mask = Mask::new();
    mask.text(&host, HOST);
    for name in OF_NO_OPTION {
        mask.name(name);
    }
    if case.names("jetstream") && !case.names("store_dir") {
        launch = launch.arg("-sd").arg("js");
    }
    if !case.names("max_file") {
        // Shares of the machine's memory and disk.
        mask.name("max_memory");
        mask.name("max_storage");
    }
    if case.names(":-1") {
        mask.name("port");
    }
    match launch.start() {
        Ok(server) => {
            lines.insert(START.to_owned(), "ready".to_owned());
            show(&server, case, &mask, &mut lines)?;
        }
        Err(StartError::Exited { log, .. }) => {
            let last = log.lines().rfind(|line| !line.is_empty());
            let last = last.unwrap_or("no reason given");
            let reason = match last.split_once("[FTL] ") {
                Some((_, text)) => mask.apply(text),
                // What `-t` says, too.
                None => "refused".to_owned(),
            };
            lines.insert(START.to_owned(), reason);
        }
        Err(error) => return Err(io::Error::other(error)),
    }
    Ok(lines)
}

impl Case {
    fn names(&self, word: &str) -> bool {
        let files = self.files.iter().map(|(_, text)| text);
        files.chain([&self.config]).any(|text| text.contains(word))
    }
}

/// A loopback address that only this process uses; all of 127.0.0.0/8 is this machine.
fn unused_host() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id() % 30_000;
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 250;
    let [.., high, low] = process.to_be_bytes();
    Ipv4Addr::new(127, 100 + high, low, u8::try_from(next + 1).unwrap_or(1))
}

fn launch(program: &Path, case: &Case, host: &str) -> io::Result<Launch> {
    let mut launch = Launch::of(program)
        .called("nats-server")
        .config(case.config.replace(HOST, host));
    for (name, text) in &case.files {
        launch = launch.file(name, text.replace(HOST, host));
    }
    if case.names(".pem") {
        let folder = tempfile::tempdir()?;
        Certificates::create(folder.path())?;
        for name in ["ca.pem", "server.pem", "server-key.pem"] {
            launch = launch.file(name, fs::read_to_string(folder.path().join(name))?);
        }
    }
    Ok(launch)
}

fn check(program: &Path, case: &Case) -> io::Result<String> {
    let output = launch(program, case, HOST)?
        .address_of_config()
        .arg("-t")
        .run_to_end()
        .map_err(io::Error::other)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let verdict = text.trim_end().trim_start_matches("nats-server: ");
    let mut verdict: Vec<&str> = verdict.lines().collect();
    // nats-server goes through maps: several errors come in any order.
    verdict.sort_unstable();
    let status = output.status.code().unwrap_or(-1);
    Ok(format!("{status} {}", verdict.join("\n")))
}

fn show(server: &Server, case: &Case, mask: &Mask, lines: &mut Lines) -> io::Result<()> {
    let mut peer = Peer::connect(server.address())?;
    if !case.names("handshake_first") {
        let info = peer.line()?;
        mask.flatten("info", &json(info.trim_start_matches("INFO "))?, lines);
    }
    let Some(monitor) = server.monitor_address() else {
        return Ok(());
    };
    let base = base_path(&case.config);
    let base = if base.is_empty() || base.starts_with('/') {
        base.to_owned()
    } else {
        format!("/{base}")
    };
    let mut get = |path: &str, name: &str| -> io::Result<Value> {
        let answer = http::get(monitor, &format!("{base}{path}"))?;
        let mut document = json(&answer.body)?;
        without_services(&mut document);
        mask.flatten(name, &document, lines);
        Ok(document)
    };
    get("/varz", "varz")?;
    get("/jsz?accounts=1&config=1", "jsz")?;
    let accounts = get("/accountz", "accountz")?;
    for account in accounts["accounts"].as_array().into_iter().flatten() {
        let name = account.as_str().unwrap_or_default();
        get(
            &format!("/accountz?acc={}", name.replace('$', "%24")),
            &format!("accountz.{name}"),
        )?;
    }
    for (index, options) in case.logins.iter().enumerate() {
        log_in(server, options, &format!("login{}", index + 1), mask, lines)?;
    }
    Ok(())
}

/// Leaves out what every account shares with the system account.
fn without_services(document: &mut Value) {
    for member in ["imports", "exports"] {
        if let Some(Value::Array(shared)) =
            document.pointer_mut(&format!("/account_detail/{member}"))
        {
            shared.retain(|one| {
                !one["subject"].as_str().is_some_and(|subject| {
                    subject.starts_with("$SYS.") || subject.starts_with("$JS.")
                })
            });
        }
    }
    if let Some(Value::Object(detail)) = document.get_mut("account_detail") {
        detail.retain(|_, member| !member.as_array().is_some_and(Vec::is_empty));
    }
}

/// The path that is configured to stand before all others.
fn base_path(config: &str) -> &str {
    let value = config
        .split("http_base_path:")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    value.map_or("", |value| value.trim().trim_matches('"'))
}

fn log_in(
    server: &Server,
    options: &str,
    name: &str,
    mask: &Mask,
    lines: &mut Lines,
) -> io::Result<()> {
    let mut peer = Peer::connect(server.address())?;
    peer.line()?;
    // Without a +OK to each.
    let rest = options.trim_start_matches('{');
    let comma = if rest == "}" { "" } else { "," };
    peer.send(format!(
        "CONNECT {{\"verbose\":false{comma}{rest}\r\nPING\r\n"
    ))?;
    let answer = peer.line()?;
    if answer != "PONG" {
        lines.insert(name.to_owned(), answer);
        return Ok(());
    }
    lines.insert(name.to_owned(), "accepted".to_owned());
    peer.send("SUB _INBOX.x 1\r\nPUB $SYS.REQ.USER.INFO _INBOX.x 0\r\n\r\n")?;
    // Without leave to ask there is no answer but a refusal.
    match peer.message() {
        Ok(message) => {
            let mut answer = json(&String::from_utf8_lossy(&message.payload))?;
            let user = &mut answer["data"]["user"];
            if user
                .as_str()
                .is_some_and(|user| user.len() == 13 && user.starts_with("nats-"))
            {
                *user = "nats-RANDOM".into();
            }
            mask.flatten(name, &answer["data"], lines);
        }
        Err(error) => {
            lines.insert(format!("{name}.error"), error.to_string());
        }
    }
    Ok(())
}

fn json(text: &str) -> io::Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{error}: {text}")))
}
