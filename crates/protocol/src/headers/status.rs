//! Status lines.

/// The status of a block's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Such as 503; 100 to 999.
    pub code: u16,
    /// What follows the code, blanks trimmed; may be empty.
    pub description: &'a [u8],
}

impl<'a> Status<'a> {
    /// Reads the status from the block's first line, `None` if it has none.
    #[must_use]
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let _ = block;
        todo!()
    }
}

/// Writes a whole block: `NATS/1.0 <code>[ <description>]`, the headers, and the final empty line.
pub fn build_status(code: u16, description: &[u8], headers: &[(&[u8], &[u8])], out: &mut Vec<u8>) {
    let _ = (code, description, headers, out);
    todo!()
}
