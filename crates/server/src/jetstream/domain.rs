//! The JetStream domain: the API answers below `$JS.<domain>.API` as well.

const API: &str = "$JS.API.";

/// The subjects on which something listens that listens on `subject`: itself, and its form with the domain if it belongs to the API.
pub(crate) fn forms(subject: String, domain: Option<&str>) -> impl Iterator<Item = String> {
    let rest = subject.strip_prefix(API);
    let with_domain = domain
        .zip(rest)
        .map(|(domain, rest)| format!("$JS.{domain}.API.{rest}"));
    std::iter::once(subject).chain(with_domain)
}

/// The part of an API subject behind `$JS.<domain>.API.`; `None` for every other subject.
pub(super) fn behind_domain<'s>(subject: &'s [u8], domain: &str) -> Option<&'s [u8]> {
    let rest = subject.strip_prefix(b"$JS.")?;
    rest.strip_prefix(domain.as_bytes())?.strip_prefix(b".API.")
}

/// The part of an API subject behind its prefix, whatever the domain; `None` for every other subject.
pub(super) fn behind_prefix(subject: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = subject.strip_prefix(API.as_bytes()) {
        return Some(rest);
    }
    let rest = subject.strip_prefix(b"$JS.")?;
    let domain = rest.iter().position(|byte| *byte == b'.')?;
    rest.get(domain..)?.strip_prefix(b".API.")
}

/// Whether this is an API subject with a domain.
pub(crate) fn has_domain(subject: &[u8]) -> bool {
    !subject.starts_with(API.as_bytes()) && behind_prefix(subject).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_found_with_any_domain() {
        for (subject, want) in [
            ("$JS.API.INFO", Some("INFO")),
            ("$JS.D.API.STREAM.INFO.a", Some("STREAM.INFO.a")),
            ("$JS.API.API.x", Some("API.x")),
            ("$JS.D.ACK.s", None),
            ("$JS.D", None),
            ("a.API.INFO", None),
        ] {
            let rest = behind_prefix(subject.as_bytes());
            assert_eq!(rest, want.map(str::as_bytes), "{subject}");
            let with_domain = want.is_some() && subject.starts_with("$JS.D.");
            assert_eq!(has_domain(subject.as_bytes()), with_domain, "{subject}");
        }
    }

    #[test]
    fn only_api_subjects_have_a_form_with_the_domain() {
        let forms = |subject: &str, domain| forms(subject.to_owned(), domain).collect::<Vec<_>>();
        assert_eq!(forms("$JS.API.INFO", None), ["$JS.API.INFO"]);
        assert_eq!(
            forms("$JS.API.INFO", Some("D")),
            ["$JS.API.INFO", "$JS.D.API.INFO"]
        );
        assert_eq!(forms("$JS.ACK.s.c.>", Some("D")), ["$JS.ACK.s.c.>"]);
    }

    #[test]
    fn a_domain_is_cut_off_only_where_it_stands() {
        for (subject, want) in [
            ("$JS.D.API.INFO", Some("INFO")),
            ("$JS.D.API.STREAM.INFO.a", Some("STREAM.INFO.a")),
            ("$JS.API.INFO", None),
            ("$JS.DD.API.INFO", None),
            ("$JS.D.ACK.s", None),
        ] {
            assert_eq!(
                behind_domain(subject.as_bytes(), "D"),
                want.map(str::as_bytes),
                "{subject}"
            );
        }
    }
}
