use jetsled_protocol::subject;

use super::account::AccountClaims;
use super::token::JwtError;
use super::user::{SubjectClaim, UserClaims, UserPermissionLimits};

/// Subjects that one list may grow to, so that tags with many values cannot make it explode.
const MAX_SUBJECTS: usize = 4096;

/// What a user of a scoped signing key may do: the scope's template with the user's and the account's names and tags in
/// place of `{{...}}`.
///
/// # Errors
/// An operation that does not exist, a deny entry that becomes no subject, more than 4096 subjects.
pub(crate) fn expand(
    template: &UserPermissionLimits,
    user: &UserClaims,
    account: &AccountClaims,
) -> Result<UserPermissionLimits, JwtError> {
    let source = Source { user, account };
    let side = |claim: &SubjectClaim| -> Result<SubjectClaim, JwtError> {
        let mut expanded = SubjectClaim {
            allow: source.expand_list(&claim.allow, OnBadSubject::Drop)?,
            deny: source.expand_list(&claim.deny, OnBadSubject::Fail)?,
        };
        if !claim.allow.is_empty() && expanded.allow.is_empty() {
            // Nothing that was allowed exists: an empty list would allow everything.
            expanded.deny.push(">".to_owned());
        }
        Ok(expanded)
    };
    Ok(UserPermissionLimits {
        publish: side(&template.publish)?,
        subscribe: side(&template.subscribe)?,
        ..template.clone()
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnBadSubject {
    Drop,
    Fail,
}

struct Source<'a> {
    user: &'a UserClaims,
    account: &'a AccountClaims,
}

impl Source<'_> {
    fn expand_list(&self, list: &[String], bad: OnBadSubject) -> Result<Vec<String>, JwtError> {
        if !list.iter().any(|entry| entry.contains("{{")) {
            return Ok(list.to_vec());
        }
        let mut expanded = Vec::new();
        for entry in list {
            for subject in self.expand_entry(entry, bad)? {
                if subject::is_valid(subject.as_bytes()) {
                    expanded.push(subject);
                } else if bad == OnBadSubject::Fail {
                    return invalid("generated invalid subject".to_owned());
                }
            }
            if expanded.len() > MAX_SUBJECTS {
                return too_many();
            }
        }
        Ok(expanded)
    }

    /// One entry with every combination of the values of its operations.
    fn expand_entry(&self, entry: &str, bad: OnBadSubject) -> Result<Vec<String>, JwtError> {
        let mut combined = vec![String::new()];
        let mut rest = entry;
        while let Some((before, operation, after)) = split_operation(rest) {
            let values = self.values(operation, entry, bad)?;
            if combined.len() * values.len() > MAX_SUBJECTS {
                return too_many();
            }
            combined = combined
                .iter()
                .flat_map(|begun| {
                    values
                        .iter()
                        .map(move |value| format!("{begun}{before}{value}"))
                })
                .collect();
            rest = after;
        }
        for subject in &mut combined {
            subject.push_str(rest);
        }
        Ok(combined)
    }

    fn values(
        &self,
        operation: &str,
        entry: &str,
        bad: OnBadSubject,
    ) -> Result<Vec<String>, JwtError> {
        let operation = operation.trim();
        let lower = operation.to_ascii_lowercase();
        let one = |value: &str| Ok(vec![value.to_owned()]);
        let (tags, prefix) = match lower.as_str() {
            "name()" => return one(&self.user.name),
            "subject()" => return one(&self.user.subject),
            "account-name()" => return one(&self.account.name),
            "account-subject()" => return one(&self.user.nats.issuer_account),
            _ if lower.starts_with("tag(") => (&self.user.nats.tags, "tag("),
            _ if lower.starts_with("account-tag(") => (&self.account.nats.tags, "account-tag("),
            _ => {
                return invalid(format!(
                    "template operation in {entry:?}: {operation:?} is not defined"
                ));
            }
        };
        let Some(name) = lower
            .get(prefix.len()..)
            .and_then(|argument| argument.strip_suffix(')'))
        else {
            return invalid(format!(
                "template operation in {entry:?}: {operation:?} is not defined"
            ));
        };
        let begin = format!("{name}:");
        let values: Vec<_> = tags
            .iter()
            .filter_map(|tag| tag.strip_prefix(&begin))
            .map(str::to_owned)
            .collect();
        match (values.is_empty(), bad) {
            (false, _) => Ok(values),
            // No subject has a blank, so that the entry is dropped.
            (true, OnBadSubject::Drop) => one(" "),
            (true, OnBadSubject::Fail) => invalid(format!(
                "generated invalid subject {entry:?}: {name:?} is not defined"
            )),
        }
    }
}

/// `before{{operation}}after`
fn split_operation(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (operation, after) = rest.split_once("}}")?;
    Some((before, operation, after))
}

fn invalid<T>(text: String) -> Result<T, JwtError> {
    Err(JwtError::Invalid(text))
}

fn too_many<T>() -> Result<T, JwtError> {
    invalid(format!(
        "permission template expands to too many subjects: {MAX_SUBJECTS}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Account, JwtUser};

    fn user(tags: &[&str]) -> UserClaims {
        UserClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 0,
            issuer: "AS".to_owned(),
            name: "alice".to_owned(),
            not_before: 0,
            subject: "UALICE".to_owned(),
            nats: JwtUser {
                issuer_account: "AACC".to_owned(),
                tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
                ..JwtUser::default()
            },
        }
    }

    fn account() -> AccountClaims {
        AccountClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at: 0,
            issuer: "O".to_owned(),
            name: "acme".to_owned(),
            not_before: 0,
            subject: "AACC".to_owned(),
            nats: Account {
                tags: vec!["region:eu".to_owned()],
                ..Account::default()
            },
        }
    }

    fn expanded(allow: &[&str], deny: &[&str], tags: &[&str]) -> Result<SubjectClaim, JwtError> {
        let strings = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect();
        let template = UserPermissionLimits {
            publish: SubjectClaim {
                allow: strings(allow),
                deny: strings(deny),
            },
            ..UserPermissionLimits::default()
        };
        expand(&template, &user(tags), &account()).map(|limits| limits.publish)
    }

    #[track_caller]
    fn check(allow: &str, tags: &[&str], expected: &[&str]) {
        assert_eq!(expanded(&[allow], &[], tags).unwrap().allow, expected);
    }

    #[test]
    fn operations_are_replaced() {
        check("a.{{name()}}.b", &[], &["a.alice.b"]);
        check("{{ Subject() }}.>", &[], &["UALICE.>"]);
        check(
            "{{account-name()}}.{{account-subject()}}",
            &[],
            &["acme.AACC"],
        );
        check("{{account-tag(region)}}", &[], &["eu"]);
        check("x.{{tag(d)}}", &["d:1", "d:2", "e:3"], &["x.1", "x.2"]);
        check(
            "{{tag(d)}}.{{tag(e)}}",
            &["d:1", "d:2", "e:3", "e:4"],
            &["1.3", "1.4", "2.3", "2.4"],
        );
        check("plain", &[], &["plain"]);
    }

    #[test]
    fn an_allow_list_that_loses_all_subjects_denies_all() {
        let claim = expanded(&["a.{{tag(none)}}"], &[], &[]).unwrap();
        assert!(claim.allow.is_empty());
        assert_eq!(claim.deny, [">"]);
        let claim = expanded(&["a.{{tag(none)}}", "b"], &[], &[]).unwrap();
        assert_eq!((claim.allow, claim.deny), (vec!["b".to_owned()], vec![]));
    }

    #[test]
    fn a_deny_list_must_be_whole() {
        assert!(expanded(&[], &["a.{{tag(none)}}"], &[]).is_err());
        assert!(expanded(&[], &["a.{{tag(d)}}"], &["d:x y"]).is_err());
        assert!(expanded(&["{{unknown()}}"], &[], &[]).is_err());
    }

    #[test]
    fn expansion_is_bounded() {
        let tags: Vec<_> = (0..100).map(|n| format!("d:{n}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        assert!(expanded(&["{{tag(d)}}.{{tag(d)}}"], &[], &tags).is_err());
        assert!(expanded(&["{{tag(d)}}"], &[], &tags).is_ok());
    }
}
