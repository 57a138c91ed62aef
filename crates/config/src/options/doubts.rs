//! What a server should say about its options when it starts.

use jetsled_auth::{Secret, UserCredential};

use crate::{Options, SyncPolicy, duration};

/// A `max_payload` beyond this is doubtful, in bytes.
const LARGE_PAYLOAD: usize = 8 << 20;

impl Options {
    /// Warnings for the log; nothing in them keeps the server from starting.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.has_plain_secret() {
            doubts.push("Plaintext passwords detected, use nkeys or bcrypt".to_owned());
        }
        if self.max_payload > LARGE_PAYLOAD {
            doubts.push(
                "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"
                    .to_owned(),
            );
        }
        if let (true, SyncPolicy::Every(interval)) = (self.jetstream.enabled, self.jetstream.sync) {
            doubts.push(format!(
                "sync_interval is {}: a power cut can lose messages acknowledged in that time; leave it out to \
                 acknowledge what is on the disk",
                duration::show(interval)
            ));
        }
        let jetstream = &self.jetstream;
        if jetstream.encryption_key.is_none() && jetstream.previous_encryption_key.is_some() {
            doubts
                .push("prev_encryption_key without an encryption_key encrypts nothing".to_owned());
        }
        doubts
    }

    fn has_plain_secret(&self) -> bool {
        let authorization = &self.authorization;
        let users = authorization.users.iter();
        let of_users = users
            .chain(self.accounts.iter().flat_map(|account| &account.users))
            .filter_map(|user| match &user.credential {
                UserCredential::Password { password, .. } => Some(password),
                UserCredential::Nkey(_) => None,
            });
        let single = authorization.password.iter();
        let of_monitoring = self.monitor.login.iter().map(|login| &login.password);
        let is_plain = |secret: &Secret| !secret.is_empty() && !secret.is_bcrypt();
        // A token is meant to be written down (nats-server 2.15.1 does not warn of one either).
        single.chain(of_users).chain(of_monitoring).any(is_plain)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Options), expected: &[&str]) {
        let mut options = Options::default();
        change(&mut options);
        let doubts = options.doubts();
        assert_eq!(doubts.len(), expected.len(), "{doubts:?}");
        for (doubt, start) in doubts.iter().zip(expected) {
            assert!(doubt.starts_with(start), "{doubt}");
        }
    }

    #[test]
    fn doubtful_options_are_named() {
        check(|_| {}, &[]);
        check(
            |options| options.authorization.password = Some("p".into()),
            &["Plaintext"],
        );
        check(
            |options| options.authorization.token = Some("t".into()),
            &[],
        );
        let hash = "$2a$11$PWIFAL8RsWyGI3jVZtO9Nu8.6jOxzxfZo7c/W0eLk017hjgUKWrhy";
        check(
            |options| options.authorization.password = Some(hash.into()),
            &[],
        );
        check(
            |options| options.max_payload = 9 << 20,
            &["Maximum payloads"],
        );
        let every = SyncPolicy::Every(Duration::from_secs(120));
        check(|options| options.jetstream.sync = every, &[]);
        check(
            |options| {
                options.jetstream.enabled = true;
                options.jetstream.sync = every;
            },
            &["sync_interval is 2m0s"],
        );
        let key = || Some(Secret::from("k"));
        check(
            |options| options.jetstream.previous_encryption_key = key(),
            &["prev_encryption_key without"],
        );
        check(
            |options| {
                options.jetstream.encryption_key = key();
                options.jetstream.previous_encryption_key = key();
            },
            &[],
        );
    }
}
