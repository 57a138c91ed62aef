//! What Go's decoder says about input that is not JSON.

use std::ops::Range;

use jetsled_protocol::GoQuoted;

/// The text that nats-server 2.15.1 shows for a payload on which `serde_json` failed with `error`.
pub(crate) fn decoder_text(payload: &[u8], error: &serde_json::Error) -> String {
    let mut scanner = Scanner {
        bytes: payload,
        at: 0,
        depth: 0,
    };
    match scanner.documents() {
        Err(Fault::Eof) => "unexpected EOF".to_owned(),
        Err(Fault::Character(what)) => match scanner.character() {
            [] => "unexpected EOF".to_owned(),
            character => format!(
                "invalid character {} {what} at offset {}",
                quoted(character),
                scanner.at + character.len()
            ),
        },
        Err(Fault::Escape(byte)) => {
            let escape = char::from(byte);
            format!(
                "invalid escape sequence `\\{escape}` in string at offset {}",
                scanner.at + 1
            )
        }
        // What Go would take and serde_json does not: a number out of range, invalid UTF-8, deep nesting.
        Err(Fault::TooDeep) | Ok(()) => error.to_string(),
    }
}

/// What nats-server 2.15.1 says of a payload that should be one document, where no place is told; `None` if it is one.
pub(crate) fn document_text(payload: &[u8]) -> Option<String> {
    let mut scanner = Scanner {
        bytes: payload,
        at: 0,
        depth: 0,
    };
    let fault = match scanner.value() {
        Ok(()) => {
            scanner.blanks();
            return match scanner.character() {
                [] => None,
                next => Some(format!(
                    "invalid character {} after top-level value",
                    quoted(next)
                )),
            };
        }
        Err(fault) => fault,
    };
    match (fault, scanner.character()) {
        (Fault::TooDeep, _) => None,
        (Fault::Character(what), character @ [_, ..]) => {
            Some(format!("invalid character {} {what}", quoted(character)))
        }
        (Fault::Escape(byte), _) => {
            let escape = char::from(byte);
            Some(format!("invalid escape sequence `\\{escape}` in string"))
        }
        (Fault::Eof | Fault::Character(_), _) => Some("unexpected end of JSON input".to_owned()),
    }
}

/// The text of the last value at `path` (member names in any case, indexes) in a payload that is JSON.
pub(super) fn literal_at<'a>(payload: &'a [u8], path: &[&str]) -> Option<&'a str> {
    let mut scanner = Scanner {
        bytes: payload,
        at: 0,
        depth: 0,
    };
    let mut found = None;
    scanner.blanks();
    while scanner.peek().is_some() {
        scanner.find(path, &mut found).ok()?;
        scanner.blanks();
    }
    std::str::from_utf8(payload.get(found?)?).ok()
}

enum Fault {
    Eof,
    /// The character at the scanner's position, and what is wrong with it.
    Character(String),
    Escape(u8),
    TooDeep,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn documents(&mut self) -> Result<(), Fault> {
        self.blanks();
        while self.peek().is_some() {
            self.value()?;
            self.blanks();
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        self.blanks();
        match self.peek().ok_or(Fault::Eof)? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => bad("looking for beginning of value"),
        }
    }

    /// Passes a value and notes where in it the value at `path` is.
    fn find(&mut self, path: &[&str], found: &mut Option<Range<usize>>) -> Result<(), Fault> {
        self.blanks();
        let from = self.at;
        let Some((step, rest)) = path.split_first() else {
            self.value()?;
            *found = Some(from..self.at);
            return Ok(());
        };
        let (in_array, end) = match self.peek() {
            Some(b'{') => (false, b'}'),
            Some(b'[') => (true, b']'),
            _ => return self.value(),
        };
        self.at += 1;
        self.blanks();
        if self.take(end) {
            return Ok(());
        }
        for index in 0_usize.. {
            self.blanks();
            let is_step = if in_array {
                step.parse() == Ok(index)
            } else {
                let quoted = self.at;
                self.string()?;
                let name = self.bytes.get(quoted + 1..self.at - 1).unwrap_or_default();
                self.blanks();
                self.expect(b':', "after object key")?;
                name.eq_ignore_ascii_case(step.as_bytes())
            };
            if is_step {
                self.find(rest, found)?;
            } else {
                self.value()?;
            }
            self.blanks();
            if self.take(end) {
                break;
            }
            self.expect(b',', "after element")?;
        }
        Ok(())
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.at += 1;
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.blanks();
            match self.peek().ok_or(Fault::Eof)? {
                b'"' => self.string()?,
                _ => return bad("looking for beginning of object key string"),
            }
            self.blanks();
            self.expect(b':', "after object key")?;
            self.value()?;
            self.blanks();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "after object key:value pair")?;
        }
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            self.blanks();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "after array element")?;
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek().ok_or(Fault::Eof)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..=0x1f => return bad("in string"),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.peek().ok_or(Fault::Eof)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().ok_or(Fault::Eof)?.is_ascii_hexdigit() {
                        return Err(Fault::Escape(b'u'));
                    }
                    self.at += 1;
                }
            }
            other => return Err(Fault::Escape(other)),
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), Fault> {
        for byte in word.bytes() {
            if self.peek().ok_or(Fault::Eof)? != byte {
                let expected = char::from(byte);
                return bad(&format!("in literal {word} (expecting '{expected}')"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.take(b'.') {
            self.digits("in numeric literal")?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits("in numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, fault: &str) -> Result<(), Fault> {
        if !self.peek().ok_or(Fault::Eof)?.is_ascii_digit() {
            return bad(fault);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn expect(&mut self, byte: u8, fault: &str) -> Result<(), Fault> {
        if self.take(byte) {
            Ok(())
        } else if self.peek().is_none() {
            Err(Fault::Eof)
        } else {
            bad(fault)
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn blanks(&mut self) {
        while self
            .peek()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The bytes of the character at the scanner's position: one where there is none, no bytes at the end.
    fn character(&self) -> &[u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let rest = rest.get(..char::MAX_LEN_UTF8).unwrap_or(rest);
        let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let len = valid.chars().next().map_or(1, char::len_utf8);
        rest.get(..len).unwrap_or_default()
    }
}

fn bad(what: &str) -> Result<(), Fault> {
    Err(Fault::Character(what.to_owned()))
}

/// A character, or a byte that is none, in single quotes as Go quotes it.
fn quoted(character: &[u8]) -> String {
    match character {
        b"'" => r"'\''".to_owned(),
        b"\"" => "'\"'".to_owned(),
        _ => {
            let quoted = GoQuoted(character).to_string();
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

/// Deeper documents are refused by `serde_json` anyway.
const MAX_DEPTH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as shown by nats-server 2.15.1.
    #[test]
    fn faults_have_the_text_of_go() {
        for (payload, want) in [
            (
                "{bad",
                "invalid character 'b' looking for beginning of object key string at offset 2",
            ),
            (
                "hello",
                "invalid character 'h' looking for beginning of value at offset 1",
            ),
            (r#"{"name":"A""#, "unexpected EOF"),
            (
                r#"{"name":"A",}"#,
                "invalid character '}' looking for beginning of object key string at offset 13",
            ),
            (
                r#"{"name" "A"}"#,
                "invalid character '\"' after object key at offset 9",
            ),
            (
                r#"{"name":"A"} x"#,
                "invalid character 'x' looking for beginning of value at offset 14",
            ),
            (
                "{\"name\":\"A\n\"}",
                "invalid character '\\n' in string at offset 11",
            ),
            (
                r#"{"name":"A\x"}"#,
                r"invalid escape sequence `\x` in string at offset 12",
            ),
            (
                r#"{"name":tru}"#,
                "invalid character '}' in literal true (expecting 'e') at offset 12",
            ),
            (
                r#"{"name":01}"#,
                "invalid character '1' after object key:value pair at offset 10",
            ),
            (
                r#"{"name":-}"#,
                "invalid character '}' in numeric literal at offset 10",
            ),
            (
                "\u{feff}{}",
                r"invalid character '\ufeff' looking for beginning of value at offset 3",
            ),
            (
                "{\u{a0}}",
                r"invalid character '\u00a0' looking for beginning of object key string at offset 3",
            ),
            (
                "[\u{1f600}]",
                "invalid character '\u{1f600}' looking for beginning of value at offset 5",
            ),
        ] {
            check_decoder(payload.as_bytes(), want);
        }
        check_decoder(
            b"\xff{}",
            r"invalid character '\xff' looking for beginning of value at offset 1",
        );
        check_decoder(
            b"[\xe2\x82]",
            r"invalid character '\xe2' looking for beginning of value at offset 2",
        );
    }

    fn check_decoder(payload: &[u8], want: &str) {
        let documents =
            serde_json::Deserializer::from_slice(payload).into_iter::<serde_json::Value>();
        let error = documents.filter_map(Result::err).next().expect("not JSON");
        let payload_text = payload.escape_ascii();
        assert_eq!(decoder_text(payload, &error), want, "{payload_text}");
    }

    #[test]
    fn a_fault_in_one_document_is_told_without_its_place() {
        for (payload, want) in [
            (
                "{\u{feff}}",
                r"invalid character '\ufeff' looking for beginning of object key string",
            ),
            (
                "{}\u{feff}",
                r"invalid character '\ufeff' after top-level value",
            ),
            ("{", "unexpected end of JSON input"),
        ] {
            let text = document_text(payload.as_bytes());
            assert_eq!(text.as_deref(), Some(want), "{payload}");
        }
    }
}
