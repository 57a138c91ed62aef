//! A YAML file as the tree that oCIS's reader makes of it.

use saphyr::{ScalarStyle, ScanError, Yaml, YamlLoader};
use saphyr_parser::Parser;

use crate::number;

/// A node. Plain scalars have the type that their text suggests, quoted ones are text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List,
    Map(Vec<(String, Value)>),
}

/// Why a file as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum YamlError {
    #[error("{0}")]
    Syntax(#[from] ScanError),
    #[error("it holds {0} where keys and values are expected")]
    NoMap(&'static str),
}

impl Value {
    /// Reads a file's first document. An empty file is an empty map.
    pub(crate) fn parse(text: &str) -> Result<Self, YamlError> {
        let mut loader: YamlLoader<'_, Yaml<'_>> = YamlLoader::default();
        // The text of scalars is wanted: their types are Go's.
        loader.early_parse(false);
        Parser::new_from_str(text).load(&mut loader, false)?;
        if let Some(error) = loader.error() {
            return Err(error.clone().into());
        }
        let document = loader.into_documents().into_iter().next();
        match document.map_or(Self::Null, Self::of) {
            Self::Null => Ok(Self::Map(Vec::new())),
            map @ Self::Map(_) => Ok(map),
            other => Err(YamlError::NoMap(other.kind())),
        }
    }

    fn of(node: Yaml<'_>) -> Self {
        match node {
            Yaml::Representation(text, ScalarStyle::Plain, None) => Self::plain(&text),
            Yaml::Representation(text, ..) => Self::Text(text.into_owned()),
            Yaml::Mapping(map) => Self::Map(
                map.into_iter()
                    .filter_map(|(key, value)| Some((key_text(&key)?, Self::of(value))))
                    .collect(),
            ),
            Yaml::Sequence(_) => Self::List,
            Yaml::Tagged(_, node) => Self::of(*node),
            Yaml::Value(_) | Yaml::Alias(_) | Yaml::BadValue => Self::Null,
        }
    }

    fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        if let Some(number) = number::integer(text) {
            return Self::Int(number);
        }
        let begins_like_a_number =
            text.starts_with(|char: char| char.is_ascii_digit() || matches!(char, '.' | '-' | '+'));
        match text.parse() {
            Ok(number) if begins_like_a_number => Self::Float(number),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The entries of a map; nothing else has any.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What a key of a map holds. Case matters only between keys that differ in nothing else (observed oCIS 7.0.0).
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.entries();
        let exact = entries.iter().find(|(known, _)| known == key);
        exact
            .or_else(|| {
                let same = |(known, _): &&(String, Self)| known.eq_ignore_ascii_case(key);
                entries.iter().find(same)
            })
            .map(|(_, value)| value)
    }

    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List => "a list",
            Self::Map(_) => "a map",
        }
    }
}

fn key_text(key: &Yaml<'_>) -> Option<String> {
    match key {
        Yaml::Representation(text, ..) => Some(text.clone().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scalar: &str, expected: Value) {
        let tree = Value::parse(&format!("key: {scalar}\n")).unwrap();
        let value = tree.get("key").unwrap();
        assert_eq!(*value, expected, "{scalar}");
    }

    #[test]
    fn plain_scalars_have_go_s_types() {
        let text = |text: &str| Value::Text(text.to_owned());
        check("9233", Value::Int(9233));
        check("0x4b69", Value::Int(19305));
        check("-1", Value::Int(-1));
        check("1.5", Value::Float(1.5));
        check(".5", Value::Float(0.5));
        check("1e3", Value::Float(1000.0));
        check("true", Value::Bool(true));
        check("FALSE", Value::Bool(false));
        check("yes", text("yes"));
        check("infinity", text("infinity"));
        check("127.0.0.1", text("127.0.0.1"));
        check("127.0.0.1:9234", text("127.0.0.1:9234"));
        check("", Value::Null);
        check("~", Value::Null);
        check("null", Value::Null);
    }

    #[test]
    fn quoted_scalars_are_text() {
        check("'9233'", Value::Text("9233".to_owned()));
        check("\"true\"", Value::Text("true".to_owned()));
        check("\"\"", Value::Text(String::new()));
        check("!!str 9233", Value::Text("9233".to_owned()));
    }

    #[test]
    fn collections_are_told_apart() {
        check("[1, 2]", Value::List);
        check(
            "{ a: 1 }",
            Value::Map(vec![("a".to_owned(), Value::Int(1))]),
        );
    }

    #[test]
    fn anchors_are_followed_and_bounded() {
        let tree = Value::parse("a: &x { b: 1 }\nc: *x\n").unwrap();
        assert_eq!(tree.get("a"), tree.get("c"));
        let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (before, name) in ('a'..='i').zip('b'..='j') {
            let ten = vec![format!("*{before}"); 10].join(",");
            laughs += &format!("{name}: &{name} [{ten}]\n");
        }
        assert!(matches!(Value::parse(&laughs), Err(YamlError::Syntax(_))));
    }

    #[test]
    fn keys_are_found_whatever_their_case() {
        let tree = Value::parse("Port: 1\nport: 2\nHOST: 3\n").unwrap();
        assert_eq!(tree.get("port"), Some(&Value::Int(2)));
        assert_eq!(tree.get("host"), Some(&Value::Int(3)));
        assert_eq!(tree.get("store"), None);
    }

    #[test]
    fn files_without_a_map_are_refused() {
        for text in ["nats:\n\tport: 1\n", "nats: [\n", "a: 1\na: 2\n"] {
            assert!(
                matches!(Value::parse(text), Err(YamlError::Syntax(_))),
                "{text:?}"
            );
        }
        assert_eq!(Value::parse("- 1\n"), Err(YamlError::NoMap("a list")));
        assert_eq!(Value::parse("text\n"), Err(YamlError::NoMap("a text")));
        for empty in ["", "\n", "# comment\n", "---\n"] {
            assert_eq!(Value::parse(empty), Ok(Value::Map(Vec::new())), "{empty:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_tree_or_an_error(text in "[a-c:{}\\[\\], \n\t&*'\"|>!#?-]{0,40}") {
            drop(Value::parse(&text));
        }
    }
}
