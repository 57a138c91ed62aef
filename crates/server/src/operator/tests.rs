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

/// Claims that share something, with a limit by which they are seen to be coming.
fn sharing_token(world: &World) -> String {
    world.account_token(|claims| {
        claims.nats.limits.payload = 7;
        let export = r#"{"subject":"news","type":"stream"}"#;
        let export: Export = serde_json::from_str(export).unwrap();
        claims.nats.exports = [export].into();
    })
}

/// The account, as soon as such claims have given it their limit.
fn with_limits(server: &ServerState, name: &str) -> Arc<Account> {
    loop {
        let account = server.account(name);
        let has_limits = |account: &Arc<Account>| account.limits().max_payload == Some(7);
        match account.filter(has_limits) {
            Some(account) => return account,
            None => std::thread::yield_now(),
        }
    }
}

/// A second login found the claims of an account that was not made yet, and was refused.
#[test]
fn claims_are_found_once_they_are_in_force() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let server = server(&world, dir.path());
    let operator = server.operator().unwrap();
    let name = world.account.public_key();
    let token = sharing_token(&world);
    let exports = |account: &Account| account.wiring().shared.is_some();

    // What accounts share can not change while this is held.
    let turn = server.wiring_turn();
    std::thread::scope(|threads| {
        let taken = threads.spawn(|| operator.take(&server, &name, &token));
        let account = with_limits(&server, &name);
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

/// Older claims came into force after newer ones, and a login that had read the older ones kept them.
#[test]
fn what_is_pushed_while_older_claims_come_into_force_holds() {
    let look_up = |operator: &OperatorMode, server: &Arc<ServerState>, name: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        runtime.block_on(operator.look_up(server, name)).map(drop)
    };
    let take = |operator: &OperatorMode, server: &Arc<ServerState>, name: &str| {
        let directory = operator.resolver.full_directory().unwrap();
        operator.take_stored(server, directory, name)
    };
    type Way<'a> =
        &'a (dyn Fn(&OperatorMode, &Arc<ServerState>, &str) -> Result<(), LookupError> + Sync);
    let ways: [Way<'_>; 2] = [&look_up, &take];
    for way in ways {
        let mut world = World::new();
        let dir = tempfile::tempdir().unwrap();
        let server = server(&world, dir.path());
        let operator = server.operator().unwrap();
        let directory = operator.resolver.full_directory().unwrap();
        let name = world.account.public_key();
        directory.store(&name, &sharing_token(&world)).unwrap();

        let turn = server.wiring_turn();
        std::thread::scope(|threads| {
            let done = threads.spawn(|| way(&operator, &server, &name));
            with_limits(&server, &name);
            world.issued_at += 1;
            let newer = world.account_token(|_| {});
            directory.store(&name, &newer).unwrap();
            drop(turn);
            done.join().unwrap().unwrap();
            assert_eq!(operator.token(&name).as_deref(), Some(newer.as_str()));
        });
    }
}
