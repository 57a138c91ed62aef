//! A machine that runs out of things: what `docs/operations.md` says happens.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jetsled_testkit::{Launch, Peer, Server, program};
use jetsled_tests::jetstream::{expect, publish};
use jetsled_tests::small_disk::SmallDisk;
use serde_json::{Value, json};

const DESCRIPTORS: usize = 96;
const SOON: Duration = Duration::from_secs(20);

/// The program under a limit of the shell's `ulimit`.
fn limited(dir: &Path, limit: &str) -> PathBuf {
    let script = dir.join("limited");
    let text = format!(
        "#!/bin/sh\nulimit {limit}\nexec '{}' \"$@\"\n",
        program().display()
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    script
}

/// A client, and a file stream.
fn client(server: &Server) -> Peer {
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    let config = json!({"name": "S", "subjects": ["s.*"]});
    expect(&mut peer, "STREAM.CREATE.S", &config).expect("a stream");
    peer
}

fn published(peer: &mut Peer, sequences: std::ops::RangeInclusive<u64>) {
    for seq in sequences {
        let ack = publish(peer, "s.a", format!("message {seq}").as_bytes()).expect("an ack");
        assert_eq!(ack["seq"], seq, "{ack}");
    }
}

fn state(address: SocketAddr) -> Value {
    let (mut peer, _info) = Peer::ready(address).expect("a connection");
    expect(&mut peer, "STREAM.INFO.S", &Value::Null).expect("the stream")["state"].clone()
}

#[test]
fn out_of_file_descriptors_new_connections_wait_and_everything_else_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Launch::of(limited(dir.path(), &format!("-n {DESCRIPTORS}")))
        .jetstream(dir.path().join("store"))
        .start()
        .expect("the server starts");
    let mut peer = client(&server);

    // The kernel takes them all; the server takes what it has descriptors for.
    let mut waiting = Vec::new();
    for _ in 0..DESCRIPTORS {
        waiting.push(TcpStream::connect(server.address()).expect("the kernel takes it"));
    }
    assert!(
        server.wait_for_log("Client Accept Error", SOON).is_some(),
        "{}",
        server.log()
    );
    published(&mut peer, 1..=50);
    // As soon as others have gone, those that wait are served.
    let mut last = waiting.pop().expect("one");
    drop(waiting);
    last.set_read_timeout(Some(SOON)).expect("set");
    let mut info = [0; 5];
    last.read_exact(&mut info).expect("it is served in the end");
    assert_eq!(&info, b"INFO ");
    published(&mut peer, 51..=51);
}

#[test]
fn out_of_memory_the_process_ends_and_what_was_acknowledged_is_there() {
    const KIB: usize = 3 << 19; // 1.5 GiB of addresses
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path().join("store");
    let mut server = Launch::of(limited(dir.path(), &format!("-v {KIB}")))
        .jetstream(&store)
        // More than there is.
        .config("jetstream { max_memory_store: 100G }")
        .start()
        .expect("the server starts");
    let mut peer = client(&server);
    let config = json!({"name": "MEMORY", "subjects": ["m"], "storage": "memory"});
    expect(&mut peer, "STREAM.CREATE.MEMORY", &config).expect("a stream");
    let payload = vec![b'm'; 1 << 20];
    let mut seq = 0;
    loop {
        assert!(seq < (KIB >> 10) as u64, "the limit is not one");
        if publish(&mut peer, "m", &payload).is_err() {
            break;
        }
        // A last one may be written whose ack never arrives.
        match publish(&mut peer, "s.a", format!("message {}", seq + 1).as_bytes()) {
            Ok(ack) => assert_eq!(ack["seq"], seq + 1, "{ack}"),
            Err(_) => break,
        }
        seq += 1;
    }
    let status = server.wait().expect("it ran");
    assert!(!status.success(), "{status}");
    assert!(seq > 100, "{seq}");

    let server = Launch::new()
        .jetstream(&store)
        .start()
        .expect("the server starts");
    let found = state(server.address())["last_seq"].as_u64();
    assert!(
        found == Some(seq) || found == Some(seq + 1),
        "{found:?} of {seq}"
    );
    let (mut peer, _info) = Peer::ready(server.address()).expect("a connection");
    for number in 1..=seq {
        let found = expect(&mut peer, "STREAM.MSG.GET.S", &json!({"seq": number}));
        let found = found.expect("an acknowledged message");
        let payload = jetsled_tests::jetstream::payload(&found["message"]);
        assert_eq!(payload, format!("message {number}").as_bytes());
    }
}

#[test]
fn a_store_that_can_only_be_read_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = match SmallDisk::mount(dir.path(), 400 << 20) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: a file system cannot be mounted: {error}"),
    };
    let store = disk.path().join("store");
    let launch = Launch::new().jetstream(&store);
    let mut server = launch.clone().start().expect("the server starts");
    let mut peer = client(&server);
    published(&mut peer, 1..=50);
    drop(peer);
    server.kill();

    disk.set_writable(false).expect("nothing is open there");
    let refused = launch.run_to_end().expect("it gives up");
    let log = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{log}");
    let fatal = log.lines().find(|line| line.contains("[FTL]"));
    let fatal = fatal.unwrap_or_else(|| panic!("no reason in\n{log}"));
    let (path, reason) = (store.display().to_string(), "is not writable");
    assert!(fatal.contains(&path) && fatal.contains(reason), "{fatal}");

    disk.set_writable(true).expect("it was before");
    server.start_again().expect("the server starts");
    assert_eq!(state(server.address())["messages"], 50);
    drop(server);
}
