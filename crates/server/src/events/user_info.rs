//! What `$SYS.REQ.USER.INFO` says of who asks.

use jetsled_auth::Permissions;

use super::task::{join, to_json};
use crate::client::Client;

pub(super) fn gather(client: &Client) -> Vec<u8> {
    let login = client.login();
    let user = to_json(&login.shown_user());
    let account = to_json(&login.account.name());
    let permissions = login
        .permissions
        .as_ref()
        .map(|permissions| to_json::<Permissions>(permissions.source()));
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"user", &user),
        (b"account", &account),
        (b"account_name", &account),
    ];
    fields.extend(
        permissions
            .iter()
            .map(|permissions| (&b"permissions"[..], permissions.as_slice())),
    );
    join(&fields)
}
