/// A place in the text, with the line that errors name.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
    /// Offset of the line feed before the current line; 0 in the first one.
    line_start: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            offset: 0,
            line: 1,
            line_start: 0,
        }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    pub(crate) fn column(&self) -> u32 {
        u32::try_from(self.offset - self.line_start).unwrap_or(u32::MAX)
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.offset).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        if next == '\n' {
            self.line += 1;
            self.line_start = self.offset;
        }
        self.offset += next.len_utf8();
        Some(next)
    }

    /// Takes `expected` if it comes next.
    pub(crate) fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.next();
        }
        found
    }

    pub(crate) fn skip_while(&mut self, mut wanted: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut wanted) {
            self.next();
        }
    }

    /// Takes a whole comment (`#` or `//`), up to its line feed, if one comes next.
    pub(crate) fn take_comment(&mut self) -> bool {
        let comes = self.rest().starts_with('#') || self.rest().starts_with("//");
        if comes {
            self.skip_while(|c| !is_line_end(c));
        }
        comes
    }
}

pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

pub(crate) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}
