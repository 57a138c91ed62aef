use std::{path::Path, rc::Rc};

use jetsled_auth::REDACTED;

use super::{
    cursor::{Cursor, is_blank, is_line_end},
    error::{LanguageError, names_secret},
    scalar,
    value::{Kind, Map, Position, Value},
};
use crate::Environment;

/// Maps and arrays inside each other, and files that include each other, at most.
const MAX_DEPTH: usize = 64;

/// Reads and parses a file and what it includes.
pub(crate) fn parse_file(path: &Path, environment: &Environment<'_>) -> Result<Map, LanguageError> {
    parse_included(path, environment, 0)
}

fn parse_included(
    path: &Path,
    environment: &Environment<'_>,
    depth: usize,
) -> Result<Map, LanguageError> {
    let text = (environment.read_file)(path).map_err(|error| {
        LanguageError::Unreadable(format!("open {}: {}", path.display(), go_words(&error)))
    })?;
    let mut parser = Parser::new(&text, path, environment, depth);
    parser.file()
}

/// Says an IO error as Go does, which tools know.
pub(crate) fn go_words(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    file: Rc<Path>,
    environment: &'a Environment<'a>,
    /// The maps that are being read, outermost first: what variables are looked up in.
    open_maps: Vec<Map>,
    /// Environment variables that are being read, to notice a cycle.
    open_variables: Vec<String>,
    depth: usize,
    include_depth: usize,
    /// Where the last value ended that is a secret.
    secret_line: Option<u32>,
}

impl<'a> Parser<'a> {
    fn new(
        text: &'a str,
        file: &Path,
        environment: &'a Environment<'a>,
        include_depth: usize,
    ) -> Self {
        Self {
            cursor: Cursor::new(text),
            file: file.into(),
            environment,
            open_maps: vec![Map::default()],
            open_variables: Vec::new(),
            depth: 0,
            include_depth,
            secret_line: None,
        }
    }

    fn file(&mut self) -> Result<Map, LanguageError> {
        self.top_level()?;
        Ok(self.open_maps.pop().unwrap_or_default())
    }

    fn top_level(&mut self) -> Result<(), LanguageError> {
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Ok(()),
                Some('{') => {
                    self.cursor.next();
                    self.enclosed_top_level()?;
                }
                Some('/') => return Err(self.syntax("Unexpected EOF.")),
                Some(_) => {
                    if self.entry(Level::Top)?.is_end_of_text() {
                        return Ok(());
                    }
                    self.end_of_entry(Level::Top)?;
                }
            }
        }
    }

    /// `{ entries }` around the whole text, as in JSON. A missing `}` at the end is forgiven.
    fn enclosed_top_level(&mut self) -> Result<(), LanguageError> {
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Ok(()),
                Some('}') => {
                    self.cursor.next();
                    return Ok(());
                }
                Some(',' | ';') => {
                    self.cursor.next();
                }
                Some(_) => {
                    if self.entry(Level::Block)?.is_end_of_text() {
                        return Ok(());
                    }
                    self.end_of_entry(Level::Block)?;
                }
            }
        }
    }

    fn map(&mut self) -> Result<Map, LanguageError> {
        self.open_maps.push(Map::default());
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Err(self.syntax("Unexpected EOF processing map.")),
                Some('}') => {
                    self.cursor.next();
                    return Ok(self.open_maps.pop().unwrap_or_default());
                }
                Some(c @ ']') => {
                    return Err(self.syntax(format!("Unexpected array end '{c}' processing map.")));
                }
                Some(_) => {
                    self.entry(Level::Map)?;
                    self.end_of_entry(Level::Map)?;
                }
            }
        }
    }

    /// One `key value` or `include path`. The cursor is left behind the value.
    fn entry(&mut self, level: Level) -> Result<Entry, LanguageError> {
        let (key, position, quoted) = self.key(level)?;
        if !quoted
            && key.eq_ignore_ascii_case("include")
            && self.cursor.peek().is_some_and(char::is_whitespace)
        {
            self.include()?;
            return Ok(Entry::Complete);
        }
        self.cursor.skip_while(char::is_whitespace);
        match self.cursor.peek() {
            None if level == Level::Top && key == "}" => return Ok(Entry::EndOfText),
            None if level != Level::Map => {
                return Err(LanguageError::Unfinished {
                    file: self.file.to_path_buf(),
                    line: self.cursor.line(),
                    column: self.cursor.column(),
                });
            }
            Some('=' | ':') => {
                self.cursor.next();
                if level == Level::Map {
                    self.cursor.skip_while(char::is_whitespace);
                }
            }
            _ => {}
        }
        match self.cursor.peek() {
            Some(c @ ',') if level == Level::Map => {
                self.cursor.next();
                return Err(self.syntax(format!("Unexpected map value terminator \"{c}\".")));
            }
            Some('}') if level == Level::Map => {
                // A password with a comma in it, and no quotes around it.
                let is_rest = self.secret_line == Some(position.line);
                let key = if is_rest { REDACTED } else { &key };
                return Err(self.syntax(format!(
                    "Expected a value for key \"{key}\" but found the end of the map"
                )));
            }
            _ => {}
        }
        let mut value = self.value().map_err(|error| {
            if names_secret(&key) {
                error.without_values()
            } else {
                error
            }
        })?;
        if names_secret(&key) {
            self.secret_line = Some(self.cursor.line());
        }
        value.position = position;
        if let Some(map) = self.open_maps.last_mut() {
            map.insert(key, value);
        }
        Ok(Entry::Complete)
    }

    fn key(&mut self, level: Level) -> Result<(String, Position, bool), LanguageError> {
        match self.cursor.peek() {
            Some(c @ ('=' | ':')) => {
                let dot = if level == Level::Map { "." } else { "" };
                Err(self.syntax(format!("Unexpected key separator '{c}'{dot}")))
            }
            Some(quote @ ('"' | '\'')) => {
                self.cursor.next();
                let (start, position) = (self.cursor.offset(), self.position());
                self.cursor.skip_while(|c| c != quote);
                let key = self.cursor.since(start).to_owned();
                if !self.cursor.take(quote) {
                    return Err(self.syntax(match (level, quote) {
                        (Level::Map, '"') => "Unexpected EOF processing double quoted map key.",
                        (Level::Map, _) => "Unexpected EOF processing quoted map key.",
                        _ => "Unexpected EOF.",
                    }));
                }
                Ok((key, position, true))
            }
            _ => {
                let (start, position) = (self.cursor.offset(), self.position());
                self.cursor.next();
                self.cursor
                    .skip_while(|c| !c.is_whitespace() && c != '=' && c != ':');
                if self.cursor.peek().is_none() && level == Level::Map {
                    return Err(self.syntax("Unexpected EOF processing map key."));
                }
                Ok((self.cursor.since(start).to_owned(), position, false))
            }
        }
    }

    /// What may stand between a value and the next entry.
    fn end_of_entry(&mut self, level: Level) -> Result<(), LanguageError> {
        loop {
            self.cursor.skip_while(is_blank);
            if self.cursor.take_comment() {
                continue;
            }
            let next = self.cursor.peek();
            if level != Level::Map && next == Some('/') {
                self.cursor.next();
                continue;
            }
            let ends = match (level, next) {
                (_, Some('\n' | '\r' | ';' | ',')) => true,
                (Level::Map, Some('/')) => true,
                (Level::Top, Some('}') | None) => true,
                // Left for the caller, whose end it is.
                (Level::Block | Level::Map, Some('}')) => return Ok(()),
                _ => false,
            };
            self.cursor.next();
            if ends {
                return Ok(());
            }
            let got = shown(next);
            return Err(self.syntax(match level {
                Level::Top => format!(
                    "Expected a top-level value to end with a new line, comment or EOF, but got '{got}' instead."
                ),
                Level::Block => format!(
                    "Expected a block-level value to end with a new line, comment or EOF, but got '{got}' instead."
                ),
                Level::Map => format!(
                    "Expected a map value terminator \",\" or a map terminator \"}}\", but got '{got}' instead."
                ),
            }));
        }
    }

    fn value(&mut self) -> Result<Value, LanguageError> {
        self.cursor.skip_while(is_blank);
        let mut position = self.position();
        if matches!(self.cursor.peek(), Some('"' | '\'')) {
            // Behind the quote, as for keys (observed nats-server 2.15.1).
            position.column += 1;
        }
        let mut variable = None;
        let kind = match self.cursor.peek() {
            Some('[') => {
                self.cursor.next();
                let array = self.nested(Self::array)?;
                return Ok(self.value_ended_here(Kind::Array(array)));
            }
            Some('{') => {
                self.cursor.next();
                let map = self.nested(Self::map)?;
                return Ok(self.value_ended_here(Kind::Map(map)));
            }
            Some('.') => {
                self.cursor.next();
                return Err(self.syntax("Floats must start with a digit"));
            }
            Some(c) if is_line_end(c) => {
                self.cursor.next();
                return Err(self.syntax("Expected value but found new line"));
            }
            _ => match scalar::read(&mut self.cursor)? {
                scalar::Scalar::Value(kind) => kind,
                scalar::Scalar::Variable(name) => {
                    variable = Some(name.into());
                    self.variable(name)?
                }
            },
        };
        Ok(Value {
            kind,
            position,
            used_as_variable: false,
            variable,
        })
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, LanguageError>,
    ) -> Result<T, LanguageError> {
        if self.depth == MAX_DEPTH {
            return Err(self.syntax(format!(
                "maps and arrays are nested deeper than {MAX_DEPTH}"
            )));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn array(&mut self) -> Result<Vec<Value>, LanguageError> {
        let mut values = Vec::new();
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                Some(']') => {
                    self.cursor.next();
                    return Ok(values);
                }
                Some(',' | '/') => {
                    self.cursor.next();
                    return Err(self.syntax("Unexpected array value terminator ','."));
                }
                _ => values.push(self.value()?),
            }
            loop {
                self.cursor.skip_while(is_blank);
                if !self.cursor.take_comment() {
                    break;
                }
            }
            match self.cursor.peek() {
                Some(']') => {}
                Some(',' | '\n' | '\r' | '/') => {
                    self.cursor.next();
                }
                next => {
                    self.cursor.next();
                    return Err(self.syntax(format!(
                        "Expected an array value terminator \",\" or an array terminator \"]\", but got '{}' instead.",
                        shown(next)
                    )));
                }
            }
        }
    }

    /// Looks a variable up: enclosing maps from the inside out, then the environment.
    fn variable(&mut self, name: &str) -> Result<Kind, LanguageError> {
        // A bcrypt hash needs no quotes.
        if name.starts_with("2a$") {
            return Ok(Kind::String(format!("${name}")));
        }
        if let Some(value) = self
            .open_maps
            .iter_mut()
            .rev()
            .find_map(|map| map.get_mut(name))
        {
            value.used_as_variable = true;
            return Ok(value.kind.clone());
        }
        let line = self.cursor.line();
        let wrap = |source| LanguageError::Variable {
            name: name.to_owned(),
            line,
            source: Box::new(source),
        };
        if self.open_variables.iter().any(|open| open == name)
            || self.open_variables.len() == MAX_DEPTH
        {
            return Err(wrap(LanguageError::VariableCycle(name.to_owned())));
        }
        let Some(text) = (self.environment.variable)(name) else {
            return Err(LanguageError::UnknownVariable {
                name: name.to_owned(),
                line,
            });
        };
        let text = format!("pk={text}");
        let mut parser = Parser::new(&text, Path::new(""), self.environment, self.include_depth);
        parser.open_variables = self.open_variables.clone();
        parser.open_variables.push(name.to_owned());
        let mut map = parser.file().map_err(wrap)?;
        match map.get_mut("pk") {
            Some(value) => Ok(value.kind.clone()),
            None => Err(LanguageError::UnknownVariable {
                name: name.to_owned(),
                line,
            }),
        }
    }

    /// The path after the word `include`; the entries of the file join the current map.
    fn include(&mut self) -> Result<(), LanguageError> {
        self.cursor.skip_while(is_blank);
        let path = self.include_path()?;
        let directory = self.file.parent().unwrap_or(Path::new(""));
        let relative = path.trim_start_matches('/');
        let include = |source| LanguageError::Include {
            path: path.to_owned(),
            source: Box::new(source),
        };
        if self.include_depth == MAX_DEPTH {
            return Err(include(LanguageError::Unreadable(format!(
                "files include each other deeper than {MAX_DEPTH}"
            ))));
        }
        let map = parse_included(
            &directory.join(relative),
            self.environment,
            self.include_depth + 1,
        )
        .map_err(include)?;
        if let Some(current) = self.open_maps.last_mut() {
            for (key, value) in map {
                current.insert(key, value);
            }
        }
        Ok(())
    }

    fn include_path(&mut self) -> Result<&'a str, LanguageError> {
        let found = |what: &str| format!("Expected include value but found {what}");
        match self.cursor.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.cursor.next();
                let start = self.cursor.offset();
                self.cursor.skip_while(|c| c != quote);
                let path = self.cursor.since(start);
                if !self.cursor.take(quote) {
                    return Err(self.syntax(match quote {
                        '"' => "Unexpected EOF in double quoted include",
                        _ => "Unexpected EOF in quoted include",
                    }));
                }
                Ok(path)
            }
            Some('[') => Err(self.syntax(found("start of an array"))),
            Some('{') => Err(self.syntax(found("start of a map"))),
            Some('(') => Err(self.syntax(found("start of a block"))),
            Some(c) if c == '-' || c.is_numeric() => Err(self.syntax(found("start of a number"))),
            Some('\\') => Err(self.syntax(found("escape sequence"))),
            Some(c) if is_line_end(c) => {
                self.cursor.next();
                Err(self.syntax(found("new line")))
            }
            _ => {
                let start = self.cursor.offset();
                self.cursor.skip_while(|c| {
                    !is_line_end(c) && !is_blank(c) && !matches!(c, ';' | '}' | '\'')
                });
                let path = self.cursor.since(start);
                self.cursor.take('\'');
                Ok(path)
            }
        }
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            self.cursor.skip_while(char::is_whitespace);
            if !self.cursor.take_comment() {
                return;
            }
        }
    }

    fn position(&self) -> Position {
        Position {
            file: self.file.clone(),
            line: self.cursor.line(),
            column: self.cursor.column(),
        }
    }

    fn value_ended_here(&self, kind: Kind) -> Value {
        Value {
            kind,
            position: self.position(),
            used_as_variable: false,
            variable: None,
        }
    }

    fn syntax(&self, message: impl Into<String>) -> LanguageError {
        LanguageError::Syntax {
            line: self.cursor.line(),
            message: message.into(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    /// Inside the braces around the whole text.
    Block,
    Map,
}

enum Entry {
    Complete,
    /// Only a closing brace was left.
    EndOfText,
}

impl Entry {
    fn is_end_of_text(&self) -> bool {
        matches!(self, Self::EndOfText)
    }
}

/// A character in an error; the end of the text is a NUL there.
fn shown(c: Option<char>) -> String {
    match c {
        Some('\n') => "\\n".to_owned(),
        Some(c) => c.to_string(),
        None => "\0".to_owned(),
    }
}
