//! A JSON value a line; empty lines are none.

use memchr::memchr;

use super::Malformed;

#[derive(Debug, Default)]
pub(super) struct Lines {
    entries: u64,
    /// This line is more than space so far.
    begun: bool,
}

impl Lines {
    pub(super) fn push(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        while !rest.is_empty() {
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            if !self.begun
                && let Some(first) = line.iter().find(|byte| !byte.is_ascii_whitespace())
            {
                if !begins_a_value(*first) {
                    return Err(Malformed);
                }
                self.begun = true;
                self.entries += 1;
            }
            let Some(end) = end else { break };
            self.begun = false;
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "as the other parsers answer")]
    pub(super) fn end(&self) -> Result<u64, Malformed> {
        Ok(self.entries)
    }
}

fn begins_a_value(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}
