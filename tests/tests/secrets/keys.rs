//! Seeds, signed claims, what a callout service is asked, keys of TLS.

use std::io::{Read, Write};
use std::net::TcpListener;

use jetsled_auth::jwt::{
    AuthorizationRequestClaims, AuthorizationResponse, AuthorizationResponseClaims, JwtUser,
};
use jetsled_testkit::{Launch, Peer, World};
use jetsled_tests::certificates::Certificates;
use jetsled_tests::observed::corpus;
use nkeys::{KeyPair, XKey};

use super::{Observer, check_absent, check_log, check_monitoring, check_services, connect};

const SYSTEM: &str = r#"{"verbose":false,"user":"sys","pass":"s"}"#;

/// Somebody has taken the wrong one of the two texts of a key. nats-server shows it; here nobody sees it.
#[test]
fn seeds_given_for_something_else() {
    let user = KeyPair::new_user();
    let pairs = [
        KeyPair::new_user(),
        KeyPair::new_account(),
        KeyPair::new_operator(),
        KeyPair::new_server(),
        KeyPair::new_cluster(),
    ];
    let mut seeds: Vec<String> = pairs
        .iter()
        .map(|key| key.seed().expect("a seed"))
        .collect();
    seeds.push(user.seed().expect("a seed"));
    seeds.push(XKey::new().seed().expect("a seed"));
    let secrets: Vec<(&str, &str)> = seeds.iter().map(|seed| ("a seed", seed.as_str())).collect();
    let server = Launch::new()
        .called("nats-server")
        .config(format!(
            "http: 127.0.0.1:-1\nsystem_account: SYS\nno_auth_user: open\naccounts {{\n\
             A {{ users: [ {{nkey: {}}}, {{user: open, password: \"\"}} ] }}\n\
             SYS {{ users: [ {{user: sys, password: s}} ] }}\n}}",
            user.public_key()
        ))
        .arg("-DVV")
        .start()
        .expect("the server starts");
    let (mut system, _) = connect(&server, SYSTEM);
    let mut observer = Observer::new(connect(&server, SYSTEM).0);
    let mut stay = Vec::new();
    let mut told = String::new();
    for seed in &seeds {
        for fields in [
            format!(r#""nkey":"{seed}""#),
            format!(r#""nkey":"{seed}","sig":"x""#),
            format!(r#""user":"{seed}""#),
            format!(r#""user":"{seed}","pass":"x""#),
            format!(r#""user":"x","pass":"{seed}""#),
            format!(r#""auth_token":"{seed}""#),
            format!(r#""jwt":"{seed}""#),
            format!(r#""sig":"{seed}","nkey":"{}""#, user.public_key()),
            format!(r#""account":"{seed}""#),
            format!(r#""name":"{seed}""#),
            format!(r#""name":"my {seed} key","lang":"{seed}","version":"{seed}""#),
            format!(r#""seed":"{seed}""#),
            format!(r#""{seed}":"{seed}""#),
            format!(r#""verbose":"{seed}""#),
        ] {
            let (peer, output) = connect(&server, &format!("{{{fields}}}"));
            told += &output;
            stay.push(peer);
        }
        let (mut peer, _) = connect(
            &server,
            &format!(r#"{{"verbose":false,"headers":true,"name":"{seed}"}}"#),
        );
        let headers = "NATS/1.0\r\nNats-Trace-Dest: trace\r\n\r\n";
        let (size, total) = (headers.len(), headers.len() + seed.len());
        peer.send(format!(
            "SUB trace 1\r\nSUB a 2\r\nHPUB a {size} {total}\r\n{headers}{seed}\r\n"
        ))
        .expect("sent");
        let trace = loop {
            let message = peer.message().expect("a trace");
            if message.subject == "trace" {
                break String::from_utf8_lossy(&message.payload).into_owned();
            }
        };
        check_absent("a trace", &trace, &secrets);
        let info = peer.request("$SYS.REQ.USER.INFO", b"").expect("an answer");
        told += &String::from_utf8_lossy(&info.payload);
        peer.send(format!("{seed}\r\n")).expect("sent");
        stay.push(peer);
    }
    assert!(
        told.contains("PONG") && told.contains("Authorization Violation"),
        "{told}"
    );
    check_absent("what clients are told", &told, &secrets);
    check_monitoring(&server, &secrets);
    check_services(&mut system, &secrets);
    drop(stay);
    observer.check(&["CLIENT.AUTH.ERR", "[REDACTED]"], &secrets);
    check_monitoring(&server, &secrets);
    check_log(&server, &secrets);
}

#[test]
fn claims_of_bearers() {
    let parts = corpus::read().expect("the corpus");
    let mut cases = parts.iter().flat_map(|part| &part.cases);
    let case = cases
        .find(|case| case.title == "a resolver in memory")
        .expect("a case with claims");
    let tokens: Vec<&str> = case
        .logins
        .iter()
        .filter_map(|login| login.split('"').nth(3))
        .filter(|token| token.starts_with("eyJ"))
        .collect();
    // The part that only its owner can make; the rest is no secret.
    let signatures: Vec<&str> = tokens
        .iter()
        .filter_map(|token| token.rsplit('.').next())
        .collect();
    let mut secrets: Vec<(&str, &str)> = signatures
        .iter()
        .map(|signature| ("a user's token", *signature))
        .collect();
    secrets.push(("a signature", "c2lnbmF0dXJlLXNlY3JldA"));
    let server = Launch::new()
        .called("nats-server")
        .config(format!("{}\nhttp: 127.0.0.1:-1", case.config))
        .arg("-DV")
        .start()
        .expect("the server starts");
    let mut accepted = 0;
    let mut stay = Vec::new();
    for token in &tokens {
        let options = format!(r#"{{"jwt":"{token}","sig":"c2lnbmF0dXJlLXNlY3JldA"}}"#);
        let (peer, output) = connect(&server, &options);
        accepted += usize::from(output.contains("PONG"));
        check_absent("what a client is told", &output, &secrets);
        stay.push(peer);
    }
    assert!(
        accepted > 0 && accepted < tokens.len(),
        "{accepted} of {}",
        tokens.len()
    );
    // Whoever has a bearer's token can use it: monitoring shows none (as nats-server).
    check_monitoring(&server, &secrets);
    check_absent("the log", &server.log(), &secrets);
}

/// Serves tokens of accounts as `nats-account-server` does, to whoever gives the right password.
fn account_server(tokens: Vec<(String, String)>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let len = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let found = tokens
                .iter()
                .find(|(key, _)| request.contains(key.as_str()));
            let body = found.map_or("", |(_, token)| token.as_str());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Its peer may have gone.
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    address
}

#[test]
fn claims_by_every_resolver() {
    let mut world = World::new();
    let account = world.account_token(|_| {});
    let address = account_server(world.tokens(account.clone()).into_iter().collect());
    let store = tempfile::tempdir().expect("a folder");
    for resolver in [
        "MEMORY".to_owned(),
        format!(
            "{{ type: full, dir: {:?}, allow_delete: true }}",
            store.path()
        ),
        format!("{{ type: cache, dir: {:?}, ttl: 1h }}", store.path()),
        format!("URL(http://me:url-secret@{address}/jwt/)"),
        // Nobody is there.
        "URL(http://me:url-secret@127.0.0.1:1/jwt/)".to_owned(),
    ] {
        let bearer = world.user_of(&world.account, |claims| {
            claims.nats.limits.bearer_token = true;
        });
        let ended = world.user_of(&world.account, |claims| claims.expires = 1);
        let user = world.user();
        let system = world.user_of(&world.system, |_| {});
        let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
        let bearer_signature = signature(&bearer.token);
        let ended_signature = signature(&ended.token);
        let seed = user.key.seed().expect("a seed");
        let mut secrets = vec![
            ("a bearer's token", bearer_signature.as_str()),
            ("a seed", seed.as_str()),
            ("a password in a URL", "url-secret"),
        ];
        let launch = Launch::new()
            .called("nats-server")
            .config(world.config(&resolver, account.clone()) + "http: 127.0.0.1:-1")
            .arg("-DVV");
        if resolver.contains("127.0.0.1:1/") {
            let output = launch.run_to_end().expect("it ends");
            assert!(!output.status.success());
            check_absent(
                "the log",
                &String::from_utf8_lossy(&output.stderr),
                &secrets,
            );
            continue;
        }
        let server = launch.start().expect("the server starts");
        let mut admin = system.connected(server.address());
        let mut observer = Observer::new(system.connected(server.address()));
        let stay = [
            bearer.connected(server.address()),
            user.connected(server.address()),
        ];
        ended
            .log_in(server.address())
            .expect("-ERR 'Authorization Violation'\r\n");
        let given = format!(r#"{{"jwt":"{}","sig":"x","name":"{seed}"}}"#, user.token);
        connect(&server, &given);
        check_monitoring(&server, &secrets);
        check_services(&mut admin, &secrets);
        // A token that is no bearer's is of no use without its seed; monitoring shows it, as nats-server does. A log shows none.
        let own_signature = signature(&user.token);
        world.issued_at += 1;
        let update = world.account_token(|claims| {
            claims.nats.limits.subs = 100;
        });
        let update_signature = signature(&update);
        for (subject, body) in [
            ("$SYS.REQ.CLAIMS.UPDATE".to_owned(), update.as_str()),
            ("$SYS.REQ.CLAIMS.UPDATE".to_owned(), user.token.as_str()),
            (
                format!(
                    "$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP",
                    world.account.public_key()
                ),
                "",
            ),
            ("$SYS.REQ.CLAIMS.DELETE".to_owned(), bearer.token.as_str()),
        ] {
            // Not every resolver answers everything.
            admin
                .send(format!("PUB {subject} inbox {}\r\n{body}\r\n", body.len()))
                .expect("sent");
        }
        // Answered in order.
        admin
            .request("$SYS.REQ.SERVER.PING.IDZ", b"")
            .expect("an answer");
        drop(stay);
        observer.check(&["CLIENT.AUTH.ERR", ".CONNECT", ".DISCONNECT"], &[]);
        secrets.extend([
            ("a token of claims", ended_signature.as_str()),
            ("a token of claims", own_signature.as_str()),
            ("a token of claims", update_signature.as_str()),
        ]);
        check_log(&server, &secrets);
    }
}

/// The service is told passwords and tokens, in claims that the server signs: neither the protocol trace nor anybody else.
#[test]
fn what_a_callout_service_is_asked() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for xkey in [None, Some(XKey::new())] {
        let issuer = KeyPair::new_account();
        let (seed, xkey_seed) = (
            issuer.seed().expect("a seed"),
            xkey.as_ref().map(|key| key.seed().expect("a seed")),
        );
        let xkey_field = xkey
            .as_ref()
            .map_or_else(String::new, |key| format!(", xkey: {}", key.public_key()));
        let server = Launch::new()
            .called("nats-server")
            .config(format!(
                "http: 127.0.0.1:-1\nsystem_account: SYS\naccounts {{\n\
                 AUTH {{ users: [ {{user: auth, password: service-secret}} ] }}\nAPP {{}}\n\
                 SYS {{ users: [ {{user: sys, password: s}} ] }}\n}}\n\
                 authorization {{ auth_callout {{ issuer: {}, account: AUTH, auth_users: [auth, sys]{xkey_field} }} }}",
                issuer.public_key()
            ))
            .arg("-DVV")
            .start()
            .expect("the server starts");
        // Base64 in each of the three places that three bytes can begin at.
        let hidden: Vec<String> = (0..3)
            .map(|shift| {
                let encoded = URL_SAFE_NO_PAD.encode(format!("{}client-secret", "x".repeat(shift)));
                encoded[4..16].to_owned()
            })
            .collect();
        let mut secrets = vec![
            ("the service's password", "service-secret"),
            ("a client's password", "client-secret"),
            ("a client's token", "token-secret"),
            ("the issuer's seed", seed.as_str()),
        ];
        secrets.extend(
            hidden
                .iter()
                .map(|text| ("a client's password in base64", text.as_str())),
        );
        secrets.extend(
            xkey_seed
                .as_deref()
                .map(|seed| ("the service's curve key", seed)),
        );
        let (mut system, _) = connect(&server, SYSTEM);
        let mut observer = Observer::new(connect(&server, SYSTEM).0);
        let (mut service, _) = connect(
            &server,
            r#"{"verbose":false,"headers":true,"user":"auth","pass":"service-secret"}"#,
        );
        service.send("SUB $SYS.REQ.USER.AUTH 1\r\n").expect("sent");
        service.sync().expect("subscribed");
        let mut stay = Vec::new();
        for error in [
            None,
            Some("no"),
            Some("eyJhbGciOiJ4In0.eyJjbGllbnQtc2VjcmV0.c2ln"),
            Some("http://me:client-secret@here"),
        ] {
            let mut peer = Peer::connect(server.address()).expect("it listens");
            peer.line().expect("INFO");
            peer.send("CONNECT {\"verbose\":false,\"user\":\"c\",\"pass\":\"client-secret\",\"auth_token\":\"token-secret\"}\r\nPING\r\n").expect("sent");
            answer(&mut service, &issuer, xkey.as_ref(), error);
            let line = peer.line().expect("an answer");
            assert_eq!(
                line,
                if error.is_some() {
                    "-ERR 'Authorization Violation'"
                } else {
                    "PONG"
                }
            );
            stay.push(peer);
        }
        check_monitoring(&server, &secrets);
        check_services(&mut system, &secrets);
        drop(stay);
        observer.check(&["CLIENT.AUTH.ERR", ".CONNECT", ".DISCONNECT"], &secrets);
        check_log(&server, &secrets);
    }
}

/// Lets a user of APP in, or refuses it.
fn answer(service: &mut Peer, issuer: &KeyPair, xkey: Option<&XKey>, error: Option<&str>) {
    let message = service.message().expect("a request");
    let server_key = message
        .header("Nats-Server-Xkey")
        .map(|key| XKey::from_public_key(key).expect("a key"));
    let token = match (xkey, &server_key) {
        (Some(own), Some(server)) => own.open(&message.payload, server).expect("sealed for it"),
        _ => message.payload.clone(),
    };
    let request =
        AuthorizationRequestClaims::decode(&String::from_utf8_lossy(&token)).expect("claims");
    assert_eq!(request.nats.connect_opts.pass, "client-secret");
    let mut world = World::new();
    world.issued_at = 1;
    let mut response = AuthorizationResponse::default();
    match error {
        Some(error) => error.clone_into(&mut response.error),
        None => {
            let mut nats = JwtUser::default();
            (nats.limits.subs, nats.limits.data, nats.limits.payload) = (-1, -1, -1);
            let mut user = world.claims(issuer, issuer, nats);
            user.subject.clone_from(&request.nats.user_nkey);
            user.audience = "APP".to_owned();
            response.jwt = user.encode(issuer).expect("claims");
        }
    }
    let mut response: AuthorizationResponseClaims = world.claims(issuer, issuer, response);
    response.subject = request.nats.user_nkey;
    response.audience = request.nats.server_id.id;
    let mut answer = response.encode(issuer).expect("claims").into_bytes();
    if let (Some(own), Some(server)) = (xkey, &server_key) {
        answer = own.seal(&answer, server).expect("sealed");
    }
    let reply = message.reply.expect("a reply subject");
    service
        .send(format!("PUB {reply} {}\r\n", answer.len()))
        .expect("sent");
    service.send(answer).expect("sent");
    service.send("\r\n").expect("sent");
}

#[test]
fn keys_of_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::create(folder.path()).expect("certificates");
    let key = std::fs::read_to_string(&certificates.key).expect("a key");
    let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let secrets: Vec<(&str, &str)> = lines.iter().map(|line| ("the key", *line)).collect();
    // Where a certificate is asked for, where it is asked for itself, as a token, as a configuration.
    for config in [
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}",
            certificates.key, certificates.key
        ),
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}",
            certificates.cert, certificates.cert
        ),
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
            certificates.cert, certificates.key, certificates.key
        ),
        format!("operator: {:?}\nresolver: MEMORY", certificates.key),
        format!("include {:?}", "key.pem"),
    ] {
        let launch = Launch::new()
            .called("nats-server")
            .config(config)
            .file("key.pem", &key)
            .arg("-DV");
        let output = launch.run_to_end().expect("it runs");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        check_absent("the reason", &said, &secrets);
    }
}
