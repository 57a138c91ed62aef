//! What comes with the request that begins a WebSocket connection: cookies, headers, the URL.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jetsled_testkit::{Launch, Server, World};

use super::{Observer, check_absent, check_log, check_monitoring, check_services};

/// The start of a client that has sent this request line, these headers and these lines.
fn open(address: SocketAddr, target: &str, headers: &str, lines: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time limit");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(lines.len()).expect("short").to_be_bytes());
    // A mask of zeros.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(lines.as_bytes());
    stream.write_all(request.as_bytes()).expect("sent");
    let mut told = Vec::new();
    let mut sent = false;
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => told.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&told)),
        }
        let has = |text: &[u8]| told.windows(text.len()).any(|window| window == text);
        if !sent && has(b"\r\n\r\n") {
            sent = true;
            // It may have been refused.
            stream.write_all(&frame).ok();
            if !told.starts_with(b"HTTP/1.1 101") {
                stream.shutdown(std::net::Shutdown::Write).ok();
            }
        }
        if has(b"PONG") {
            break;
        }
    }
    (stream, String::from_utf8_lossy(&told).into_owned())
}

fn address(server: &Server) -> SocketAddr {
    let log = server.log();
    let (_, url) = log
        .split_once("Listening for websocket clients on ws://")
        .expect("it says where");
    url.lines()
        .next()
        .unwrap_or_default()
        .parse()
        .expect("an address")
}

#[test]
fn cookies_headers_and_urls() {
    let world = World::new();
    let bearer = world.user_of(&world.account, |claims| {
        claims.nats.limits.bearer_token = true
    });
    let signature = bearer.token.rsplit('.').next().unwrap_or_default();
    let users = "system_account: SYS\naccounts { A { users: [ {user: a, password: cookie-secret} ] }, SYS { users: [ {user: sys, password: s} ] } }\n";
    let token = "authorization { token: cookie-secret }\n";
    let claims = world.config("MEMORY", world.account_token(|_| {}));
    let names = "user_cookie: user, pass_cookie: pass, token_cookie: token";
    let with_claims = format!("jwt_cookie: jwt, {names}");
    let secrets = [
        ("a cookie", "cookie-secret"),
        ("a wrong cookie", "wrong-secret"),
        ("a cookie of claims", signature),
        ("a header", "header-secret"),
        ("a URL", "url-secret"),
    ];
    for (text, names, good) in [
        (
            users,
            names,
            "Cookie: user=a; pass=cookie-secret\r\n".to_owned(),
        ),
        (token, names, "Cookie: token=cookie-secret\r\n".to_owned()),
        (
            &claims,
            &with_claims,
            format!("Cookie: jwt={}\r\n", bearer.token),
        ),
    ] {
        let server = Launch::new()
            .called("nats-server")
            .config(format!(
                "{text}http: 127.0.0.1:-1\nwebsocket {{ host: 127.0.0.1, port: -1, no_tls: true, same_origin: true, {names} }}"
            ))
            .arg("-DVV")
            .start()
            .expect("the server starts");
        let connect_to_system = || match text {
            _ if text == users => {
                Some(super::connect(&server, r#"{"verbose":false,"user":"sys","pass":"s"}"#).0)
            }
            _ if text == claims => Some(
                world
                    .user_of(&world.system, |_| {})
                    .connected(server.address()),
            ),
            _ => None,
        };
        let mut system = connect_to_system();
        let mut observer = connect_to_system().map(Observer::new);
        let address = address(&server);
        let bearing = "Authorization: Bearer header-secret\r\nX-Token: header-secret\r\n";
        let connect = "CONNECT {\"verbose\":false}\r\nPING\r\n";
        let target = "/?jwt=url-secret";
        let (stay, told) = open(address, target, &format!("{good}{bearing}"), connect);
        assert!(told.contains("PONG"), "{told}\n{}", server.log());
        check_absent("what a client is told", &told, &secrets);
        for (headers, lines) in [
            (
                "Cookie: user=a; pass=wrong-secret\r\nCookie: token=wrong-secret; jwt=wrong-secret\r\n",
                connect,
            ),
            (
                "Cookie: pass=wrong-secret\r\n",
                "CONNECT{\"pass\":\"wrong-secret\"}\r\n",
            ),
            (
                "Cookie: user=a\r\n",
                "CONNECT {\"pass\":\"wrong-secret\"\r\n",
            ),
            // Refused before it is one.
            (
                "Origin: http://me:wrong-secret@elsewhere\r\nCookie: pass=wrong-secret\r\n",
                connect,
            ),
            ("Origin: http://wrong-secret elsewhere\r\n", connect),
            (
                "Sec-WebSocket-Protocol: wrong-secret\r\nSec-WebSocket-Key: wrong-secret\r\n",
                connect,
            ),
            ("Cookie: token=wrong-secret\x01\r\n", connect),
        ] {
            let (_, told) = open(address, target, &format!("{headers}{bearing}"), lines);
            assert!(!told.contains("PONG"), "{headers}: {told}");
            check_absent("what a client is told", &told, &secrets);
        }
        check_monitoring(&server, &secrets);
        if let Some(system) = &mut system {
            check_services(system, &secrets);
        }
        drop(stay);
        if let Some(observer) = &mut observer {
            observer.check(&["CLIENT.AUTH.ERR"], &secrets);
        }
        check_log(&server, &secrets);
    }
}
