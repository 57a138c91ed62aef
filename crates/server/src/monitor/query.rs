//! Parameters of a request, with the errors that nats-server gives for wrong ones.

/// A request's parameters. The first of a name counts.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// A parameter that makes no sense; answered with status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("Error decoding {kind} for '{name}': strconv.{parser}: parsing {value:?}: {reason}")]
    Decode {
        kind: &'static str,
        name: &'static str,
        parser: &'static str,
        value: String,
        reason: &'static str,
    },
    #[error("Error decoding state for {0}")]
    State(String),
    #[error("invalid sorting option: {0}")]
    Sort(String),
    #[error("sort by {0} only valid on closed connections")]
    SortOfClosed(&'static str),
    #[error("filter by subject only valid with account filtering")]
    SubjectWithoutAccount,
    #[error("invalid test subject, must be valid publish subject: {0}")]
    TestSubject(String),
    #[error("Account {0} does not exist")]
    UnknownAccount(String),
}

impl BadRequest {
    /// Whether a parameter's text could not be read, rather than its value makes no sense.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Decode { .. } | Self::State(_))
    }
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        // Go's servers take no part with a semicolon.
        let parts = text.split('&').filter(|part| !part.contains(';'));
        let parse = |part: &str| {
            form_urlencoded::parse(part.as_bytes())
                .into_owned()
                .collect::<Vec<_>>()
        };
        Self(parts.flat_map(parse).collect())
    }

    /// These parameters.
    pub(super) fn of(parameters: Vec<(String, String)>) -> Self {
        Self(parameters)
    }

    /// The parameter's text; empty if it was not given.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// A boolean in Go's spellings; absent and empty are false.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, BadRequest> {
        match self.text(name) {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            value => Err(BadRequest::Decode {
                kind: "boolean",
                name,
                parser: "ParseBool",
                value: value.to_owned(),
                reason: INVALID,
            }),
        }
    }

    /// A number; absent and empty are 0.
    pub(super) fn integer(&self, name: &'static str) -> Result<i64, BadRequest> {
        self.number("int", "Atoi", name)
    }

    /// A number that is not negative; absent and empty are 0.
    pub(super) fn unsigned(&self, name: &'static str) -> Result<u64, BadRequest> {
        self.number("uint64", "ParseUint", name)
    }

    fn number<T>(
        &self,
        kind: &'static str,
        parser: &'static str,
        name: &'static str,
    ) -> Result<T, BadRequest>
    where
        T: std::str::FromStr<Err = std::num::ParseIntError> + Default,
    {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};

        let value = self.text(name);
        if value.is_empty() {
            return Ok(T::default());
        }
        value
            .parse()
            .map_err(|error: std::num::ParseIntError| BadRequest::Decode {
                kind,
                name,
                parser,
                value: value.to_owned(),
                reason: match error.kind() {
                    PosOverflow | NegOverflow => "value out of range",
                    _ => INVALID,
                },
            })
    }

    /// Which part of a list is asked for.
    pub(super) fn page(&self) -> Result<Page, BadRequest> {
        let limit = self.integer("limit")?;
        Ok(Page {
            offset: usize::try_from(self.integer("offset")?).unwrap_or(0),
            limit: usize::try_from(limit)
                .ok()
                .filter(|limit| *limit > 0)
                .unwrap_or(Page::DEFAULT_LIMIT),
        })
    }
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    const DEFAULT_LIMIT: usize = 1024;

    pub(super) fn of<T>(self, list: Vec<T>) -> Vec<T> {
        list.into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }
}

const INVALID: &str = "invalid syntax";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query =
            Query::parse("acc=%24G&subs=1&limit=10&offset=-3&acc=x&empty=&a+b=c%20d&subs=0;x=1");
        assert_eq!(query.text("acc"), "$G");
        assert_eq!(query.text("a b"), "c d");
        assert_eq!(
            (query.flag("subs"), query.flag("empty"), query.flag("none")),
            (Ok(true), Ok(false), Ok(false))
        );
        assert_eq!(
            query.page(),
            Ok(Page {
                offset: 0,
                limit: 10
            })
        );
        assert_eq!(
            Query::parse("limit=-1").page(),
            Ok(Page {
                offset: 0,
                limit: 1024
            })
        );
    }

    #[test]
    fn wrong_parameters_are_said_in_gos_words() {
        let query = Query::parse("b=x&i=x&u=-1&o=99999999999999999999");
        let text = |error: BadRequest| error.to_string();
        assert_eq!(
            query.flag("b").map_err(text).unwrap_err(),
            "Error decoding boolean for 'b': strconv.ParseBool: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            query.integer("i").map_err(text).unwrap_err(),
            "Error decoding int for 'i': strconv.Atoi: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            query.unsigned("u").map_err(text).unwrap_err(),
            "Error decoding uint64 for 'u': strconv.ParseUint: parsing \"-1\": invalid syntax"
        );
        assert_eq!(
            query.integer("o").map_err(text).unwrap_err(),
            "Error decoding int for 'o': strconv.Atoi: parsing \"99999999999999999999\": value out of range"
        );
    }
}
