//! Configurations with a secret on the line that is wrong.

use jetsled_testkit::Launch;

use super::{LOGGED_WITHIN, check_absent, connect};

/// Stands in the place of each secret.
const SECRET: &str = "5ecret-of-file";
const HASH: &str = "2a$11$PWIFAL8RsWyGI3jVZtO9Nu8.6jOxzxfZo7c/W0eLk017hjgUKWrhy";
const SEED: &str = "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4";
const NUMBER: &str = "98765432109876543210";

/// Each has a secret in a place where something is wrong.
fn mistakes() -> Vec<String> {
    let near = |value: &str| {
        [
            format!("authorization {{ user: u, password: {value} }}}}"),
            format!("authorization {{ user: u, password: \"{value} }}"),
            format!("authorization {{ user: u, password: '{value} }}"),
            format!("authorization {{ user: u, password: ({value} }}"),
            format!("authorization {{ user: u, password: \"{value}\" x }}"),
            format!("authorization {{ user: u, password: [{value}] }}"),
            format!("authorization {{ user: u, password: {{ x: {value} }} }}"),
            format!("authorization {{ user: u, password: {value}"),
            format!("authorization {{ user: u, password: ${value} }}"),
            format!("authorization {{ user: u, pasword: \"{value}\" }}"),
            format!("authorization {{ user: u, password: x,{value} }}"),
            format!("authorization {{ token: \"{value}\\q\" }}"),
            format!("authorization {{ token: \"{value}\\xzz\" }}"),
            format!("authorization {{ token: {value}, user: u, password: {value} }}"),
            format!(
                "authorization {{ token: {value}, users: [ {{user: u, password: {value}}} ] }}"
            ),
            format!("authorization {{ users: {{ u: {value} }} }}"),
            format!("authorization {{ users: [ {value} ] }}"),
            format!(
                "authorization {{ users: [ {{user: u, password: {value}}}, {{user: u, password: {value}}} ] }}"
            ),
            format!(
                "authorization {{ users: [ {{user: u, password: {value}, permissions: 5}} ] }}"
            ),
            format!("authorization {{ users: [ {{pass: {value}}} ] }}"),
            format!("accounts {{ A {{ users: [ {{user: u, password: {value} ] }} }}"),
            format!("accounts {{ A {{ users: [ [u, {value}] ] }} }}"),
            format!(
                "accounts {{ A {{ users: [ {{user: u, password: {value}}} ] }}, B {{ users: [ {{user: u, password: {value}}} ] }} }}"
            ),
            format!("authorization {{ user: u, password: \"{value}\" }}\nport: x"),
            format!("jetstream {{ key: {value}, cipher: aes }}"),
            format!("jetstream {{ ek: {value}, cipher: des }}"),
            format!("jetstream {{ key: [{value}] }}"),
            format!("jetstream {{ encryption_key: ${value} }}"),
            format!("jetstream {{ prev_key: \"{value}\\q\" }}"),
            format!("jetstream {{ prev_ek: \"{value} }}"),
            format!("cluster {{ port: 0, routes: [ \"nats://u:{value}@127.0.0.1:1\" ] }}"),
            format!("leafnodes {{ remotes: [ {{ url: \"nats://u:{value}@127.0.0.1:1\" }} ] }}"),
            format!("gateway {{ name: x, authorization {{ user: u, password: {value} }} }}"),
            format!("mqtt {{ port: -1, authorization {{ token: {value} }} }}"),
            format!(
                "websocket {{ port: -1, no_tls: true, authorization {{ user: u, password: {value}, token: {value} }} }}"
            ),
            format!("websocket {{ port: -1, no_tls: true, password: {value} }}"),
            format!(
                "websocket {{ port: -1, no_tls: true, headers: {{ Authorization: [ {value} ] }} }}"
            ),
            format!("resolver: URL(http://u:{value}@host"),
            format!("resolver: \"URL(http://u:{value}@host:x/y)\""),
        ]
    };
    let mut all = near(SECRET).to_vec();
    // A number that is too large is told of, but where a secret is meant.
    let of_secrets = |text: &String| text.contains("password: ") || text.contains("token: ");
    all.extend(near(NUMBER).into_iter().filter(of_secrets));
    for place in [
        "authorization { user: u, password: X }\nport: $X",
        "authorization { users: [ {nkey: X} ] }",
        "accounts { A { nkey: X } }",
        "accounts { A { users: [ {nkey: X} ] } }",
        "authorization { auth_callout { issuer: X, auth_users: [u] } }",
        "authorization { auth_callout { issuer: x, xkey: X, auth_users: [u] } }",
        "proxies { trusted: [ {key: X} ] }",
        "trusted_keys: X",
        "operator: X",
        "operator: X\nresolver: MEMORY",
        "resolver: MEMORY\nresolver_preload: { X: X }",
        "system_account: X",
        "no_auth_user: X",
        "X: 1",
        "X",
        "{ X }",
        "port: X",
        "ping_interval: X",
        "include X",
        "max_payload: \"X\"",
    ] {
        all.push(place.replace('X', SEED));
    }
    for place in [
        "password: $X",
        "port: $X",
        "authorization: { a: $X, }",
        "authorization { user: u, pwd: $X",
    ] {
        for kind in ["2a", "2b", "2y"] {
            all.push(place.replace('X', &HASH.replace("2a", kind)));
        }
    }
    all
}

#[test]
fn mistakes_beside_a_secret() {
    let secrets = [
        ("a secret", SECRET),
        ("a secret number", NUMBER),
        ("a seed", SEED),
        ("a hash", "PWIFAL8RsWyGI3jVZtO9Nu8"),
    ];
    for text in mistakes() {
        let output = Launch::new()
            .called("nats-server")
            .config(&text)
            .arg("-t")
            .run_to_end()
            .expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        check_absent(&text, &said, &secrets);
    }
}

#[test]
fn mistakes_found_by_a_reload() {
    let secrets = [
        ("the system user's password", "system-secret"),
        ("a secret", SECRET),
        ("a secret number", NUMBER),
        ("a seed", SEED),
        ("a hash", "PWIFAL8RsWyGI3jVZtO9Nu8"),
    ];
    let good = "system_account: SYS\naccounts { SYS { users: [ {user: sys, password: system-secret} ] } }\n";
    let server = Launch::new()
        .called("nats-server")
        .config(good)
        .arg("-DVV")
        .start()
        .expect("the server starts");
    let (mut admin, _) = connect(
        &server,
        r#"{"verbose":false,"user":"sys","pass":"system-secret"}"#,
    );
    let answer = admin
        .request("$SYS.REQ.SERVER.PING.IDZ", b"")
        .expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let id = answer["id"]
        .as_str()
        .or(answer["server"]["id"].as_str())
        .expect("an id")
        .to_owned();
    let reload = format!("$SYS.REQ.SERVER.{id}.RELOAD");
    let mut refused = 0;
    for text in mistakes() {
        server.write_config(format!("{good}{text}"));
        let answer = admin.request(&reload, b"").expect("an answer");
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        refused += usize::from(answer.contains("\"error\""));
        check_absent(&text, &answer, &secrets);
    }
    assert!(refused > 60, "{refused}");
    server.write_config("authorization { token: $5ecret-of-file }");
    server.hang_up();
    // None of the refusals before it was of the first line.
    server
        .wait_for_log("' on line 1 can not be found", LOGGED_WITHIN)
        .expect("a refusal");
    check_absent("the log", &server.log(), &secrets);
}
