//! OpenTelemetry logs in JSON: the objects in arrays called `logRecords`.

use memchr::memchr2;

use super::Malformed;

const KEY: &[u8] = b"logRecords";

#[derive(Debug, Default)]
pub(super) struct OtlpJson {
    entries: u64,
    depth: u32,
    /// The depth inside of the array that is being counted.
    records: Option<u32>,
    string: Option<Text>,
    /// The last thing was the key.
    key: bool,
    begun: bool,
}

/// A string that is being read.
#[derive(Clone, Copy, Debug)]
struct Text {
    escaped: bool,
    /// So many bytes of it are the key's, and there are no others.
    matched: Option<usize>,
}

impl OtlpJson {
    pub(super) fn push(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        while let Some((&byte, after)) = rest.split_first() {
            rest = if let Some(text) = self.string {
                self.text(text, rest)
            } else {
                self.outside(byte)?;
                after
            };
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Result<u64, Malformed> {
        let whole = self.begun && self.depth == 0 && self.string.is_none();
        if whole { Ok(self.entries) } else { Err(Malformed) }
    }

    fn outside(&mut self, byte: u8) -> Result<(), Malformed> {
        let key = self.key;
        self.key = key && (byte == b':' || byte.is_ascii_whitespace());
        self.begun |= !byte.is_ascii_whitespace();
        match byte {
            b'"' => self.string = Some(Text { escaped: false, matched: Some(0) }),
            b'{' | b'[' => {
                if byte == b'{' && self.records == Some(self.depth) {
                    self.entries += 1;
                }
                self.depth = self.depth.checked_add(1).ok_or(Malformed)?;
                if byte == b'[' && key && self.records.is_none() {
                    self.records = Some(self.depth);
                }
            }
            b'}' | b']' => {
                if self.records == Some(self.depth) {
                    self.records = None;
                }
                self.depth = self.depth.checked_sub(1).ok_or(Malformed)?;
            }
            b':' | b',' | b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => {}
            space if space.is_ascii_whitespace() => {}
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// Reads on in a string, and answers what follows it.
    fn text<'a>(&mut self, mut text: Text, rest: &'a [u8]) -> &'a [u8] {
        if text.escaped {
            self.string = Some(Text { escaped: false, matched: None });
            return &rest[1..];
        }
        let end = memchr2(b'"', b'\\', rest);
        let piece = &rest[..end.unwrap_or(rest.len())];
        text.matched = text
            .matched
            .filter(|&matched| KEY[matched..].starts_with(piece))
            .map(|matched| matched + piece.len());
        match end {
            None => {
                self.string = Some(text);
                &[]
            }
            Some(end) => {
                let over = rest[end] == b'"';
                self.key = over && text.matched == Some(KEY.len());
                self.string = (!over).then_some(Text { escaped: true, ..text });
                &rest[end + 1..]
            }
        }
    }
}
