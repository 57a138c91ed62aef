use jetsled_config::Options;

use super::*;
use crate::client::ByHand;

fn server(text: &str) -> Arc<ServerState> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let options = Options::from_file(file.path()).unwrap();
    Arc::new(ServerState::new(options).unwrap())
}

/// Its subscriptions end one after the other, and who publishes meanwhile asks what may be delivered.
#[test]
fn permissions_hold_for_what_a_refused_connect_has_subscribed_to() {
    let server = server(
        r#"authorization { users: [
            { user: s, password: p, permissions: { subscribe: { allow: ">", deny: "secret.>" } } }
            { user: p, password: p }
        ] }"#,
    );
    let log_in = |user| ByHand::logged_in(&server, user, "p");
    let (mut subscriber, mut publisher) = (log_in("s"), log_in("p"));
    assert!(subscriber.receive(b"SUB > 1\r\n"));
    subscriber.client().note_refused(&ConnectOptions::default());
    publisher.receive(b"PUB secret.x 0\r\n\r\nPUB open 0\r\n\r\n");
    let mut out = Vec::new();
    subscriber.take_output(usize::MAX, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "MSG open 1 0\r\n\r\n");
}
