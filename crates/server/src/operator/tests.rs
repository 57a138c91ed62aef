use std::path::Path;
use std::time::Duration;

use jetsled_auth::jwt::Export;
use jetsled_config::{DeletePolicy, Options};
use jetsled_testkit::World;

use super::*;
use crate::account::Account;

/// A server that trusts the world's operator and finds accounts in a directory.
fn server(world: &World, dir: &Path) -> Arc<ServerState> {
    let operator = OperatorOptions {
        operators: vec![world.operator_claims()],
        resolver: Some(ResolverOptions::Full {
            dir: dir.to_owned(),
            delete: DeletePolicy::Refuse,
            limit: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(2),
        }),
        ..OperatorOptions::default()
    };
    let options = Options {
        operator,
        system_account: Some(world.system.public_key()),
        ..Options::default()
    };
    Arc::new(ServerState::new(options).unwrap())
}

/// A second login found the claims of an account that was not made yet, and was refused.
#[test]
fn claims_are_found_once_they_are_in_force() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let server = server(&world, dir.path());
    let operator = server.operator().unwrap();
    let name = world.account.public_key();
    let token = world.account_token(|claims| {
        claims.nats.limits.payload = 7;
        let export = r#"{"subject":"news","type":"stream"}"#;
        let export: Export = serde_json::from_str(export).unwrap();
        claims.nats.exports = [export].into();
    });
    let exports = |account: &Account| account.wiring().shared.is_some();

    // What accounts share can not change while this is held.
    let turn = server.wiring_turn();
    std::thread::scope(|threads| {
        let taken = threads.spawn(|| operator.take(&server, &name, &token));
        let account = loop {
            let account = server.account(&name);
            let has_limits = |account: &Arc<Account>| account.limits().max_payload == Some(7);
            match account.filter(has_limits) {
                Some(account) => break account,
                None => std::thread::yield_now(),
            }
        };
        assert!(!exports(&account));
        assert!(operator.claims(&name).is_none());
        drop(turn);
        taken.join().unwrap().unwrap();
        assert!(exports(&account));
        assert!(operator.claims(&name).is_some());
    });
}

/// A push that was under way during a reload was answered, and then unknown.
#[test]
fn what_is_pushed_during_a_reload_holds_after_it() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let server = server(&world, dir.path());
    let before = server.operator().unwrap();
    let name = world.account.public_key();
    let token = world.account_token(|_| {});
    before.take(&server, &name, &token).unwrap();

    let after = before.with_options(before.options()).unwrap().unwrap();
    world.issued_at += 1;
    let newer = world.account_token(|_| {});
    let directory =
        |operator: &OperatorMode| Arc::clone(operator.resolver.full_directory().unwrap());
    directory(&before).store(&name, &newer).unwrap();
    before.take(&server, &name, &newer).unwrap();
    assert_eq!(after.token(&name).as_deref(), Some(newer.as_str()));
    let stored = directory(&after).load(&name).unwrap();
    assert_eq!(stored.as_deref(), Some(newer.as_str()));

    // Others may put files there.
    let (other, system) = (
        world.system.public_key(),
        world.account_claims(&world.system),
    );
    let system = system.encode(&world.operator).unwrap();
    std::fs::write(dir.path().join(format!("{other}.jwt")), &system).unwrap();
    let again = after.with_options(after.options()).unwrap().unwrap();
    let found = directory(&again).load(&other).unwrap();
    assert_eq!(found.as_deref(), Some(system.as_str()));
}
