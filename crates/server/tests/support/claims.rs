//! Operator mode.

use std::path::Path;
use std::time::Duration;

use jetsled_config::{DeletePolicy, Options, ResolverOptions};
pub(crate) use jetsled_testkit::{World, WorldUser};

/// With the system account and the other one, whose token is `account`, preloaded.
pub(crate) fn configure(world: &World, options: &mut Options, account: String) {
    options.operator.operators = vec![world.operator_claims()];
    options.system_account = Some(world.system.public_key());
    options.operator.resolver = Some(ResolverOptions::Memory);
    options.operator.preload = world.tokens(account);
}

/// The same with a full resolver.
pub(crate) fn configure_full(
    world: &World,
    options: &mut Options,
    account: String,
    dir: &Path,
    delete: DeletePolicy,
) {
    configure(world, options, account);
    options.operator.resolver = Some(ResolverOptions::Full {
        dir: dir.to_owned(),
        delete,
        limit: None,
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(2),
    });
}
