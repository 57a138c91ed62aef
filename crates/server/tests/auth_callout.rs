//! A service that decides logins.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::net::SocketAddr;

use jetsled_auth::jwt::{
    AuthorizationRequestClaims, AuthorizationResponse, AuthorizationResponseClaims, Claims,
    JwtUser, UserClaims,
};
use jetsled_testkit::Peer;
use nkeys::{KeyPair, XKey};
use support::TestServer;
use support::claims::{World, configure};

const REFUSED: &str = "-ERR 'Authorization Violation'\r\n";

/// What the service decides about a login.
enum Decision {
    Admit(Box<dyn Fn(&mut UserClaims)>),
    Refuse(&'static str),
    Silence,
}

struct Service {
    peer: Peer,
    issuer: KeyPair,
    xkey: Option<XKey>,
}

impl Service {
    fn new(mut peer: Peer, issuer: KeyPair, xkey: Option<XKey>) -> Self {
        peer.send("SUB $SYS.REQ.USER.AUTH 1\r\n").unwrap();
        peer.sync().unwrap();
        Self { peer, issuer, xkey }
    }

    /// Answers one request and gives it back.
    fn answer(&mut self, decision: &Decision) -> AuthorizationRequestClaims {
        let message = self.peer.message().unwrap();
        let server_key = message
            .header("Nats-Server-Xkey")
            .map(|key| XKey::from_public_key(key).unwrap());
        let token = match (&self.xkey, &server_key) {
            (Some(own), Some(server)) => own.open(&message.payload, server).unwrap(),
            (None, None) => message.payload.clone(),
            other => panic!("encrypted on one side only: {:?}", other.1.is_some()),
        };
        let token = String::from_utf8(token).unwrap();
        let request = AuthorizationRequestClaims::decode(&token).unwrap();
        let mut response = AuthorizationResponse::default();
        match decision {
            Decision::Silence => return request,
            Decision::Refuse(reason) => response.error = (*reason).to_owned(),
            Decision::Admit(change) => {
                let mut nats = JwtUser::default();
                (nats.limits.subs, nats.limits.data, nats.limits.payload) = (-1, -1, -1);
                let mut user = claims(&self.issuer, &request.nats.user_nkey, nats);
                user.audience = "APP".to_owned();
                change(&mut user);
                response.jwt = user.encode(&self.issuer).unwrap();
            }
        }
        let mut response: AuthorizationResponseClaims =
            claims(&self.issuer, &request.nats.user_nkey, response);
        response.audience = request.nats.server_id.id.clone();
        let mut answer = response.encode(&self.issuer).unwrap().into_bytes();
        if let (Some(own), Some(server)) = (&self.xkey, &server_key) {
            answer = own.seal(&answer, server).unwrap();
        }
        let reply = message.reply.unwrap();
        self.peer
            .send(format!("PUB {reply} {}\r\n", answer.len()))
            .unwrap();
        self.peer.send(answer).unwrap();
        self.peer.send("\r\n").unwrap();
        request
    }
}

fn claims<B>(issuer: &KeyPair, subject: &str, nats: B) -> Claims<B> {
    Claims {
        audience: String::new(),
        expires: 0,
        id: "id".to_owned(),
        issued_at: 1,
        issuer: issuer.public_key(),
        name: String::new(),
        not_before: 0,
        subject: subject.to_owned(),
        nats,
    }
}

fn start(issuer: &KeyPair, xkey: Option<&XKey>) -> TestServer {
    let xkey = xkey
        .map(|key| format!(", xkey: {}", key.public_key()))
        .unwrap_or_default();
    TestServer::configured(&format!(
        r#"accounts {{ AUTH {{ users: [ {{user: auth, password: pwd}} ] }}, APP {{}} }}
        authorization {{ timeout: 1, auth_callout {{ issuer: {}, account: AUTH, auth_users: [auth]{xkey} }} }}"#,
        issuer.public_key()
    ))
}

fn client(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address).unwrap();
    assert!(peer.line().unwrap().starts_with("INFO"));
    peer.send("CONNECT {\"verbose\":false,\"protocol\":1,\"user\":\"dlc\",\"pass\":\"zzz\",\"name\":\"n\"}\r\nPING\r\n")
        .unwrap();
    peer
}

#[test]
fn the_service_decides() {
    for xkey in [None, Some(XKey::new())] {
        let issuer = KeyPair::new_account();
        let server = start(&issuer, xkey.as_ref());
        let own = server.connected(r#","user":"auth","pass":"pwd""#, "PONG\r\n");
        let mut service = Service::new(own, issuer, xkey);

        let mut peer = client(server.address);
        let admit = Decision::Admit(Box::new(|user| {
            user.name = "dlc".to_owned();
            user.nats.limits.publish.deny = vec!["no".to_owned()];
        }));
        let request = service.answer(&admit);
        assert_eq!(request.audience, "nats-authorization-request");
        assert_eq!(request.subject, service.issuer.public_key());
        let asked = request.nats;
        assert_eq!(asked.server_id.id, server.server().id());
        assert_eq!(
            (
                asked.connect_opts.user.as_str(),
                asked.connect_opts.pass.as_str()
            ),
            ("dlc", "zzz")
        );
        assert_eq!(
            (
                asked.client_info.user.as_str(),
                asked.client_info.kind.as_str()
            ),
            ("dlc", "Client")
        );
        peer.expect("PONG\r\n");
        assert!(peer.line().unwrap().contains(r#""remote_account":"APP""#));
        peer.send("PUB no 0\r\n\r\n").unwrap();
        peer.expect("-ERR 'Permissions Violation for Publish to \"no\"'\r\n");

        let mut peer = client(server.address);
        service.answer(&Decision::Refuse("not today"));
        peer.expect(REFUSED);
        assert_eq!(peer.rest().unwrap(), b"");

        let mut peer = client(server.address);
        let elsewhere = Decision::Admit(Box::new(|user| user.audience = "NOWHERE".to_owned()));
        service.answer(&elsewhere);
        peer.expect(REFUSED);

        let mut peer = client(server.address);
        service.answer(&Decision::Silence);
        peer.expect(REFUSED);
    }
}

#[test]
fn answers_of_others_do_not_count() {
    let issuer = KeyPair::new_account();
    let server = start(&issuer, None);
    let own = server.connected(r#","user":"auth","pass":"pwd""#, "PONG\r\n");
    let mut service = Service::new(own, KeyPair::new_account(), None);
    let mut peer = client(server.address);
    service.answer(&Decision::Admit(Box::new(|_| {})));
    peer.expect(REFUSED);
    // The service itself may not ask in the server's name.
    service
        .peer
        .send("PUB $SYS.REQ.USER.AUTH 0\r\n\r\n")
        .unwrap();
    service
        .peer
        .expect("-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"'\r\n");
}

#[test]
fn accounts_delegate_in_operator_mode() {
    let world = World::new();
    let auth_user = world.user();
    let key = auth_user.key.public_key();
    let account = world.account_token(|claims| {
        claims.nats.authorization.auth_users = vec![key];
    });
    let server = TestServer::start(|options| {
        configure(&world, options, account);
        options.authorization.timeout = Some(std::time::Duration::from_secs(1));
    });
    let mut own = auth_user.connected(server.address);
    own.line().unwrap();
    let issuer = KeyPair::from_seed(&world.account.seed().unwrap()).unwrap();
    let mut service = Service::new(own, issuer, None);
    let sentinel = world.user_of(&world.account, |claims| {
        claims.nats.limits.bearer_token = true;
    });
    let mut peer = sentinel.log_in(server.address);
    let request = service.answer(&Decision::Admit(Box::new(|user| {
        user.audience.clear();
        user.nats.limits.publish.deny = vec!["no".to_owned()];
    })));
    assert_eq!(request.nats.connect_opts.jwt, sentinel.token);
    peer.expect("PONG\r\n");
    peer.line().unwrap();
    peer.send("PUB no 0\r\n\r\n").unwrap();
    peer.expect("-ERR 'Permissions Violation for Publish to \"no\"'\r\n");
    let mut peer = sentinel.log_in(server.address);
    service.answer(&Decision::Refuse("no"));
    peer.expect(REFUSED);
}

/// Boxes were sealed with a key that everybody knows.
#[test]
fn cve_2023_46129_requests_are_sealed_for_the_service_alone() {
    let (issuer, xkey) = (KeyPair::new_account(), XKey::new());
    let server = start(&issuer, Some(&xkey));
    let mut own = server.connected(r#","user":"auth","pass":"pwd""#, "PONG\r\n");
    own.send("SUB $SYS.REQ.USER.AUTH 1\r\n").unwrap();
    own.sync().unwrap();
    let sealed: Vec<_> = (0..2)
        .map(|_| {
            let _asking = client(server.address);
            let request = own.message().unwrap();
            let key = request.header("Nats-Server-Xkey").unwrap();
            let server_key = XKey::from_public_key(key).unwrap();
            assert!(xkey.open(&request.payload, &server_key).is_ok());
            for other in [XKey::new(), XKey::new_from_raw([0; 32])] {
                assert!(other.open(&request.payload, &server_key).is_err());
            }
            request.payload
        })
        .collect();
    // Behind the version: a nonce of its own for each, and nothing that both have in one place.
    let (first, second) = (&sealed[0][4..], &sealed[1][4..]);
    assert_ne!(first[..24], second[..24]);
    assert_ne!(first[24..64], second[24..64]);
}
