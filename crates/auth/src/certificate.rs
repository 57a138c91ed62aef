//! What a client certificate says of its owner, and which configured user that is.

use sha2::{Digest, Sha256};
use x509_parser::der_parser::asn1_rs::FromDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{AttributeTypeAndValue, X509Certificate, X509Name};

/// The names in a certificate, in the forms in which users can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames {
    /// E-mail addresses, DNS names and URIs among the alternative names, in the order in which they are tried.
    alternatives: Vec<String>,
    /// The subject, last part first; `None` if it holds an attribute that has no short name.
    subject: Option<DistinguishedName>,
    /// The subject as text, with and without its domain components (in this order).
    subject_texts: Vec<String>,
}

impl CertificateNames {
    /// Reads a certificate.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidCertificate)?;
        let (mut emails, mut hosts, mut uris) = (Vec::new(), Vec::new(), Vec::new());
        if let Ok(Some(extension)) = certificate.subject_alternative_name() {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::RFC822Name(email) => emails.push((*email).to_owned()),
                    GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }
        let subject = certificate.subject();
        let text = subject_text(subject);
        let components = domain_components(subject);
        let mut subject_texts = Vec::new();
        if !components.is_empty() {
            subject_texts.push(format!("{text},{components}"));
        }
        subject_texts.push(text);
        Ok(Self {
            alternatives: [emails, hosts, uris].concat(),
            subject: DistinguishedName::of(subject),
            subject_texts,
        })
    }

    /// The configured user that the certificate belongs to: by an alternative name, else by the subject's parts in this
    /// order, else in any order, else by the subject's text (nats-server's order).
    pub(crate) fn user<'u>(&self, users: impl Iterator<Item = &'u str> + Clone) -> Option<&'u str> {
        let by_text = |wanted: &String| users.clone().find(|user| user == wanted);
        if let Some(user) = self.alternatives.iter().find_map(by_text) {
            return Some(user);
        }
        if let Some(subject) = &self.subject {
            let parsed: Vec<_> = users
                .clone()
                .filter_map(|user| Some((user, DistinguishedName::parse(user)?)))
                .collect();
            let equal = parsed.iter().find(|(_, name)| name.equals(subject));
            let found = equal.or_else(|| parsed.iter().find(|(_, name)| name.reorders(subject)));
            if let Some((user, _)) = found {
                return Some(user);
            }
        }
        self.subject_texts.iter().find_map(by_text)
    }
}

/// Unix seconds until which a certificate (DER) is valid; `None` if it is none.
pub fn certificate_end(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The subject of a certificate (DER) as text; `None` if it is none.
pub fn certificate_subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(subject_text(certificate.subject()))
}

/// The SHA-256 of a whole certificate (DER) in lower-case hex.
pub fn certificate_digest(der: &[u8]) -> String {
    to_hex(&Sha256::digest(der))
}

/// The SHA-256 of a certificate's public key (SubjectPublicKeyInfo) in lower-case hex, by which it is pinned; `None` if
/// `der` is no certificate.
pub fn public_key_digest(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(to_hex(&Sha256::digest(certificate.public_key().raw)))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct InvalidCertificate;

/// A name made of parts (RFC 2253), the most specific first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DistinguishedName(Vec<Part>);

/// Attributes that belong together, `CN=a+OU=b`, each type and value.
type Part = Vec<(String, String)>;

impl DistinguishedName {
    /// `None` where an attribute has no short name, or a value that is no text.
    fn of(name: &X509Name<'_>) -> Option<Self> {
        let mut parts = Vec::new();
        for part in name.iter_rdn() {
            let attributes: Option<Part> = part
                .iter()
                .map(|attribute| {
                    let oid = attribute.attr_type().to_id_string();
                    let name = LDAP_NAMES.iter().find(|(known, _)| *known == oid)?.1;
                    Some((name.to_owned(), attribute.as_str().ok()?.to_owned()))
                })
                .collect();
            parts.push(attributes?);
        }
        parts.retain(|part| !part.is_empty());
        parts.reverse();
        Some(Self(parts))
    }

    /// Reads the text form; `None` if it is none.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut part = Part::new();
        let mut kind = String::new();
        let mut value = Vec::new();
        // Bytes at the end of `value` that are blanks and not escaped.
        let mut blanks = 0;
        let take = |value: &mut Vec<u8>, blanks: &mut usize| {
            value.truncate(value.len() - std::mem::take(blanks));
            String::from_utf8(std::mem::take(value)).ok()
        };
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => {
                    blanks = 0;
                    match bytes.next()? {
                        special @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>'
                        | b'\\') => value.push(special),
                        high => value.push(hex(high)? << 4 | hex(bytes.next()?)?),
                    }
                }
                b'=' => {
                    kind = take(&mut value, &mut blanks)?;
                    if bytes.peek() == Some(&b'#') {
                        return None;
                    }
                }
                b',' | b'+' => {
                    if kind.is_empty() {
                        return None;
                    }
                    part.push((std::mem::take(&mut kind), take(&mut value, &mut blanks)?));
                    if byte == b',' {
                        parts.push(std::mem::take(&mut part));
                    }
                }
                b' ' if value.is_empty() => {}
                _ => {
                    blanks = if byte == b' ' { blanks + 1 } else { 0 };
                    value.push(byte);
                }
            }
        }
        if !value.is_empty() {
            if kind.is_empty() {
                return None;
            }
            part.push((kind, take(&mut value, &mut blanks)?));
            parts.push(part);
        }
        Some(Self(parts))
    }

    fn equals(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| same_part(a, b))
    }

    /// Whether both have the same parts in whatever order.
    fn reorders(&self, other: &Self) -> bool {
        if self.0.len() != other.0.len() {
            return false;
        }
        let mut left: Vec<_> = other.0.iter().collect();
        self.0.iter().all(|part| {
            let at = left.iter().position(|other| same_part(part, other));
            at.map(|at| left.swap_remove(at)).is_some()
        })
    }
}

fn same_part(a: &Part, b: &Part) -> bool {
    let holds = |all: &Part, of: &Part| {
        of.iter().all(|(kind, value)| {
            all.iter()
                .any(|(k, v)| k.eq_ignore_ascii_case(kind) && v == value)
        })
    };
    a.len() == b.len() && holds(a, b) && holds(b, a)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Attributes as the text form of a subject calls them (RFC 2253, section 2.3, as Go prints it).
const TEXT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.6", "C"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.17", "POSTALCODE"),
];

/// Attributes as LDAP calls them.
const LDAP_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.17", "POSTALCODE"),
    (DOMAIN_COMPONENT, "DC"),
];

const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";

/// The attributes that Go's text form of a certificate's subject has, in its order: it sorts them by kind.
const GO_ORDER: &[&str] = &[
    "2.5.4.6", "2.5.4.10", "2.5.4.11", "2.5.4.7", "2.5.4.8", "2.5.4.9", "2.5.4.17", "2.5.4.3",
    "2.5.4.5",
];

/// The subject's text: its known attributes by kind, several values of a kind joined by `+`, the last kind first.
fn subject_text(name: &X509Name<'_>) -> String {
    let all: Vec<_> = name.iter_attributes().collect();
    let mut kinds = Vec::new();
    for oid in GO_ORDER {
        let of_kind = all
            .iter()
            .filter(|attribute| attribute.attr_type().to_id_string() == *oid);
        let mut values: Vec<_> = of_kind
            .filter_map(|attribute| attribute.as_str().ok())
            .collect();
        // A person has one common name and one serial number: the last ones.
        if matches!(*oid, "2.5.4.3" | "2.5.4.5") {
            values = values.split_off(values.len().saturating_sub(1));
        }
        let label = TEXT_NAMES.iter().find(|(known, _)| known == oid);
        if let (Some((_, label)), false) = (label, values.is_empty()) {
            let shown: Vec<_> = values
                .iter()
                .map(|value| format!("{label}={}", escaped(value)))
                .collect();
            kinds.push(shown.join("+"));
        }
    }
    kinds.reverse();
    kinds.join(",")
}

fn domain_components(name: &X509Name<'_>) -> String {
    let is_component = |attribute: &&AttributeTypeAndValue<'_>| {
        attribute.attr_type().to_id_string() == DOMAIN_COMPONENT
    };
    let components: Vec<_> = name
        .iter_attributes()
        .filter(is_component)
        .filter_map(|attribute| attribute.as_str().ok())
        .map(|value| format!("DC={value}"))
        .collect();
    components.join(",")
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => at == 0,
            ' ' => at == 0 || at == last,
            _ => false,
        };
        if special {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName as RcgenName, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(subject: &[(DnType, &str)], alternatives: Vec<SanType>) -> CertificateNames {
        let mut params = CertificateParams::default();
        params.distinguished_name = RcgenName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = alternatives;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateNames::from_der(certificate.der()).unwrap()
    }

    fn subject() -> Vec<(DnType, &'static str)> {
        vec![
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Acme, Inc"),
            (DnType::CommonName, "derek"),
        ]
    }

    #[track_caller]
    fn check(names: &CertificateNames, users: &[&str], expected: Option<&str>) {
        assert_eq!(names.user(users.iter().copied()), expected, "{names:?}");
    }

    #[test]
    fn alternative_names_come_first() {
        let names = certificate(
            &subject(),
            vec![
                SanType::DnsName("host.example".try_into().unwrap()),
                SanType::Rfc822Name("derek@example.org".try_into().unwrap()),
                SanType::URI("spiffe://a/b".try_into().unwrap()),
            ],
        );
        check(
            &names,
            &["spiffe://a/b", "host.example", "derek@example.org"],
            Some("derek@example.org"),
        );
        check(
            &names,
            &["spiffe://a/b", "host.example"],
            Some("host.example"),
        );
        check(&names, &["spiffe://a/b", "x"], Some("spiffe://a/b"));
        check(&names, &["other"], None);
    }

    #[test]
    fn subjects_are_compared_by_their_parts() {
        let names = certificate(&subject(), vec![]);
        check(
            &names,
            &["CN=derek,O=Acme\\, Inc,C=US"],
            Some("CN=derek,O=Acme\\, Inc,C=US"),
        );
        check(
            &names,
            &["cn=derek, o=Acme\\2c Inc, c=US"],
            Some("cn=derek, o=Acme\\2c Inc, c=US"),
        );
        let reordered = "O=Acme\\, Inc,C=US,CN=derek";
        check(&names, &[reordered], Some(reordered));
        let exact = "CN=derek,O=Acme\\, Inc,C=US";
        check(&names, &[reordered, exact], Some(exact));
        for other in [
            "CN=derek",
            "CN=Derek,O=Acme\\, Inc,C=US",
            "CN=derek,O=Acme",
            "derek",
            "",
        ] {
            check(&names, &[other], None);
        }
    }

    #[test]
    fn malformed_names_are_no_names() {
        for text in ["a", "=a,b", "CN=a\\", "CN=a\\zz", "CN=#04", "CN=a,b"] {
            assert_eq!(DistinguishedName::parse(text), None, "{text}");
        }
        assert_eq!(CertificateNames::from_der(b"no"), Err(InvalidCertificate));
    }
}
