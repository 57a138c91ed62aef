use super::*;
use crate::TlsOptions;

#[track_caller]
fn check(change: impl FnOnce(&mut Options), expected: Result<&[&str], &str>) {
    let running = Options::default();
    let mut new = running.clone();
    change(&mut new);
    match (ReloadDiff::between(&running, &new), expected) {
        (Ok(diff), Ok(lines)) => {
            let always = ["Reloaded: authorization users", "Reloaded: accounts"];
            let mut said = diff.lines;
            said.retain(|line| !always.contains(&line.as_str()));
            assert_eq!(said, lines);
        }
        (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
        (got, expected) => panic!("{got:?} is not {expected:?}"),
    }
}

#[test]
fn what_changes_is_said_in_nats_servers_words() {
    check(|_| {}, Ok(&[]));
    check(
        |options| options.log.debug = true,
        Ok(&["Reloaded: debug = true"]),
    );
    check(
        |options| options.max_connections = Some(10),
        Ok(&["Reloaded: max_connections = 10"]),
    );
    check(
        |options| options.ping_interval = Duration::from_secs(10),
        Ok(&["Reloaded: ping_interval = 10s"]),
    );
    check(
        |options| options.client_advertise = Some("foo:1".to_owned()),
        Ok(&["Reload: client_advertise = foo:1"]),
    );
    check(
        |options| options.no_fast_producer_stall = true,
        Ok(&["Reloaded: fast producers will not be stalled"]),
    );
    check(
        |options| options.authorization.timeout = Some(Duration::from_secs(5)),
        Ok(&["Reloaded: authorization timeout = 5"]),
    );
    check(
        |options| options.jetstream.enabled = true,
        Ok(&["Reloaded: JetStream"]),
    );
    check(|options| options.port = Port::Random, Ok(&[]));
}

#[test]
fn what_cannot_change_is_refused_in_nats_servers_words() {
    check(
        |options| options.port = Port::Fixed(4333),
        Err("config reload not supported for Port: old=4222, new=4333"),
    );
    check(
        |options| options.max_pending = 1 << 20,
        Err("config reload not supported for MaxPending: old=67108864, new=1048576"),
    );
    check(
        |options| options.max_subscriptions = Some(5),
        Err("config reload not supported for MaxSubs: old=0, new=5"),
    );
    check(
        |options| options.lame_duck.duration = Duration::from_secs(31),
        Err("config reload not supported for LameDuckDuration: old=2m0s, new=31s"),
    );
    check(
        |options| options.monitor.http_port = Some(Port::Fixed(8999)),
        Err("config reload not supported for HTTPPort: old=0, new=8999"),
    );
    check(
        |options| options.system_account = Some("FOO".to_owned()),
        Err("config reload not supported for SystemAccount: old=, new=FOO"),
    );
    check(
        |options| options.no_auth_user = Some("x".to_owned()),
        Err("config reload not supported for NoAuthUser: old=, new=x"),
    );
}

#[test]
fn of_websocket_only_tls_may_change() {
    let with = |change: fn(&mut WebsocketOptions)| {
        let mut websocket = WebsocketOptions::new(Port::Random);
        websocket.tls = Some(TlsOptions::new("a", "b"));
        change(&mut websocket);
        Options {
            websocket: Some(websocket),
            ..Options::default()
        }
    };
    let check = |change, expected| {
        let diff = ReloadDiff::between(&with(|_| {}), &with(change));
        assert_eq!(diff.map(drop).map_err(|error| error.to_string()), expected);
    };
    let refused = || Err("config reload not supported for Websocket".to_owned());
    check(|_| {}, Ok(()));
    check(|w| w.port = Port::Fixed(8080), Ok(()));
    check(|w| w.tls = Some(TlsOptions::new("c", "d")), Ok(()));
    check(|w| w.tls = None, refused());
    check(|w| w.compression = true, refused());
    check(|w| w.password = Some("p".into()), refused());
    let none = ReloadDiff::between(&with(|_| {}), &Options::default());
    assert!(none.is_err());
}

#[test]
fn store_limits_may_only_grow() {
    let with = |bytes: Option<u64>| {
        let mut options = Options::default();
        options.jetstream.enabled = true;
        options.jetstream.max_file_store = bytes;
        options
    };
    let refused = |old, new| ReloadDiff::between(&with(old), &with(new)).is_err();
    assert!(!refused(Some(10), Some(20)));
    assert!(refused(Some(20), Some(10)));
    assert!(refused(None, Some(10)));
    assert!(refused(Some(10), None));
}
