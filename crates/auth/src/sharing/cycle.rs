//! Searching for imports that form a cycle, as nats-server does.

use std::collections::HashSet;

use jetsled_protocol::subject;

use super::exchange::Builder;

/// Accounts that a search visits at most (observed nats-server 2.15.1).
const MAX_CYCLE_SEARCH: usize = 1024;

const CYCLE: &str = "import forms a cycle";
const CYCLE_TOO_DEEP: &str = "search cycle depth exhausted";

impl Builder {
    /// Whether messages on `subject` of `account` come, by imports there, from an account already visited.
    pub(super) fn find_stream_cycle<'a>(
        &'a self,
        account: &'a str,
        subject: &[u8],
        visited: &mut HashSet<&'a str>,
    ) -> Result<(), &'static str> {
        if visited.len() >= MAX_CYCLE_SEARCH {
            return Err(CYCLE_TOO_DEEP);
        }
        let Some(own) = self.accounts.get(account) else {
            return Ok(());
        };
        let exports_it = own
            .stream_exports
            .iter()
            .any(|(export, _)| subject::is_subset(subject, export.as_bytes()));
        if !exports_it {
            return Ok(());
        }
        for import in &own.streams {
            if subject::collides(subject, &import.to) {
                if visited.contains(&*import.exporter) {
                    return Err(CYCLE);
                }
                visited.insert(account);
                let narrower = if subject::is_subset(&import.to, subject) {
                    &import.to
                } else {
                    subject
                };
                self.find_stream_cycle(&import.exporter, narrower, visited)?;
            }
        }
        Ok(())
    }

    /// Whether requests on `subject` of `account` go, by imports there, to an account already visited.
    pub(super) fn find_service_cycle<'a>(
        &'a self,
        account: &'a str,
        subject: &[u8],
        visited: &mut HashSet<&'a str>,
    ) -> Result<(), &'static str> {
        if visited.len() >= MAX_CYCLE_SEARCH {
            return Err(CYCLE_TOO_DEEP);
        }
        let Some(own) = self.accounts.get(account) else {
            return Ok(());
        };
        for import in &own.services {
            if subject::collides(subject, &import.to) {
                if visited.contains(&*import.exporter) {
                    return Err(CYCLE);
                }
                visited.insert(account);
                let narrower = if subject::is_subset(&import.from, subject) {
                    &import.from
                } else {
                    subject
                };
                self.find_service_cycle(&import.exporter, narrower, visited)?;
            }
        }
        Ok(())
    }
}
