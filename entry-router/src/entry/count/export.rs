//! The journal export format (<https://systemd.io/JOURNAL_EXPORT_FORMATS>): entries are lines of fields and end with an
//! empty line. A field is `NAME=value`, or a line of its name, then the value's length in eight bytes, the least one
//! first, the value and a newline.

use memchr::{memchr, memchr2};

use super::Malformed;

/// Bytes of a name at most, as journald has it.
const LONGEST_NAME: usize = 64;

/// Bytes of a value at most: more than this, systemd's own reader refuses as well.
const LONGEST_VALUE: u64 = 768 << 20;

#[derive(Debug, Default)]
pub(super) struct Export {
    entries: u64,
    /// The entry that is being read has a field.
    begun: bool,
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Line,
    /// The rest of a name of which so many bytes came.
    Name(usize),
    /// The rest of a value that a newline ends.
    Value,
    /// The rest of a length.
    Length { read: u32, length: u64 },
    /// So many bytes of a value, then a newline.
    Bytes(u64),
}

impl Export {
    pub(super) fn push(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        while let Some((&byte, after)) = rest.split_first() {
            (self.next, rest) = match self.next {
                Next::Line if byte == b'\n' => {
                    self.end_entry();
                    (Next::Line, after)
                }
                Next::Line => (Next::Name(0), rest),
                Next::Name(before) => name(before, rest)?,
                Next::Value => match memchr(b'\n', rest) {
                    Some(end) => (self.end_field(), &rest[end + 1..]),
                    None => (Next::Value, &[][..]),
                },
                Next::Length { read, length } => {
                    let length = length | u64::from(byte) << (8 * read);
                    match read {
                        7 if length > LONGEST_VALUE => return Err(Malformed),
                        7 => (Next::Bytes(length), after),
                        _ => (Next::Length { read: read + 1, length }, after),
                    }
                }
                Next::Bytes(0) if byte == b'\n' => (self.end_field(), after),
                Next::Bytes(0) => return Err(Malformed),
                Next::Bytes(left) => {
                    let here = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    (Next::Bytes(left - here as u64), &rest[here..])
                }
            };
        }
        Ok(())
    }

    /// The last entry may lack its empty line.
    pub(super) fn end(&self) -> Result<u64, Malformed> {
        match self.next {
            Next::Line => Ok(self.entries + u64::from(self.begun)),
            _ => Err(Malformed),
        }
    }

    fn end_field(&mut self) -> Next {
        self.begun = true;
        Next::Line
    }

    fn end_entry(&mut self) {
        self.entries += u64::from(std::mem::take(&mut self.begun));
    }
}

fn name(before: usize, rest: &[u8]) -> Result<(Next, &[u8]), Malformed> {
    let end = memchr2(b'=', b'\n', rest);
    let length = before + end.unwrap_or(rest.len());
    if length > LONGEST_NAME {
        return Err(Malformed);
    }
    match end {
        None => Ok((Next::Name(length), &[])),
        Some(_) if length == 0 => Err(Malformed),
        Some(end) if rest[end] == b'=' => Ok((Next::Value, &rest[end + 1..])),
        Some(end) => Ok((Next::Length { read: 0, length: 0 }, &rest[end + 1..])),
    }
}
