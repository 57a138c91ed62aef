use jetsled_config::Options;

use super::*;
use crate::client::ByHand;

fn options(text: &str) -> Options {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Options::from_file(file.path()).unwrap()
}

/// What a reload does before it tells the connections.
fn take_over(state: &Arc<ServerState>, options: Options) {
    let authenticator = Authenticator::new(options.auth_config()).unwrap();
    state.replace(options, authenticator, None, None);
    state.configure_accounts();
}

/// A publisher may look up who listens after the options have changed and before the listener has been judged anew.
#[test]
fn routes_resolved_before_a_listener_was_judged_anew_are_forgotten() {
    let denying = |denied: &str| {
        options(&format!(
            r#"authorization {{ users: [
                {{ user: s, password: p, permissions: {{ subscribe: {{ allow: ">", deny: [{denied}] }} }} }}
                {{ user: p, password: p }}
            ] }}"#
        ))
    };
    let state = Arc::new(ServerState::new(denying(r#""secret.>""#)).unwrap());
    let log_in = |user| ByHand::logged_in(&state, user, "p");
    let (mut listener, mut publisher) = (log_in("s"), log_in("p"));
    assert!(listener.receive(b"SUB > 1\r\n"));

    take_over(&state, denying(r#""secret.>", "hr.>""#));
    assert!(publisher.receive(b"PUB hr.pay 1\r\n1\r\n"));
    listener.client().signal(Signal::Recheck);
    assert!(listener.receive(b""));
    assert!(publisher.receive(b"PUB hr.pay 1\r\n2\r\n"));
    let mut out = Vec::new();
    listener.take_output(usize::MAX, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "MSG hr.pay 1 1\r\n1\r\n");
}

/// A reload tells those who are on the list, and who comes there later may have been greeted before it.
#[test]
fn who_was_greeted_before_a_reload_must_log_in_as_it_says() {
    let state = Arc::new(ServerState::new(options("")).unwrap());
    let mut session = ByHand::open_amidst(&state, || {
        let locked = "authorization { user: u, password: p }";
        take_over(&state, options(locked));
    });
    assert!(!session.receive(b"PUB a 0\r\n\r\n"));
    let mut out = Vec::new();
    session.take_output(usize::MAX, &mut out);
    let told = String::from_utf8(out).unwrap();
    assert_eq!(told, "-ERR 'Authorization Violation'\r\n");
}
