//! OpenTelemetry logs in protobuf: `ExportLogsServiceRequest` holds `ResourceLogs` (field 1), those hold `ScopeLogs`
//! (field 2), and those the records (field 2). Whatever else there is, is passed over by its length.

use super::Malformed;

/// The field of each message that leads to the records.
const WAY: [u64; 3] = [1, 2, 2];

#[derive(Debug)]
pub(super) struct Otlp {
    entries: u64,
    /// Bytes left of each message from the outermost to the one that is being read, those of what is inside taken off.
    left: [u64; WAY.len()],
    depth: usize,
    framed: bool,
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The rest of a gRPC frame's head: whether it is compressed, and its length in four bytes, the greatest one first.
    Frame {
        read: u8,
        length: u64,
    },
    Key(Varint),
    /// The length of the field with this number.
    Length(u64, Varint),
    /// A number that says nothing here.
    Number(Varint),
    /// So many bytes that say nothing here.
    Skip(u64),
}

/// The bytes of a number that came so far.
#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    read: u32,
}

impl Otlp {
    /// One message, as long as the body.
    pub(super) fn message() -> Self {
        Self {
            entries: 0,
            left: [u64::MAX, 0, 0],
            depth: 0,
            framed: false,
            next: Next::Key(Varint::default()),
        }
    }

    /// Messages in gRPC's frames.
    pub(super) fn frames() -> Self {
        Self { left: [0; 3], framed: true, next: Next::Frame { read: 0, length: 0 }, ..Self::message() }
    }

    pub(super) fn push(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        while let Some((&byte, after)) = rest.split_first() {
            if let Next::Skip(left) = self.next {
                let here = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                rest = &rest[here..];
                self.next = self.after_skipping(left - here as u64);
                continue;
            }
            if let Next::Frame { read, length } = self.next {
                self.next = self.frame(read, length, byte)?;
            } else {
                self.spend(1)?;
                self.next = self.message_byte(byte)?;
            }
            // What was read may be the last of its message, and an empty value is over at once.
            if let Next::Skip(0) | Next::Key(Varint { read: 0, .. }) = self.next {
                self.next = self.after_skipping(0);
            }
            rest = after;
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Result<u64, Malformed> {
        let whole = match self.next {
            Next::Frame { read, .. } => read == 0,
            Next::Key(key) => key.read == 0 && self.depth == 0 && !self.framed,
            _ => false,
        };
        if whole { Ok(self.entries) } else { Err(Malformed) }
    }

    fn message_byte(&mut self, byte: u8) -> Result<Next, Malformed> {
        Ok(match self.next {
            Next::Key(mut key) => match key.push(byte)? {
                None => Next::Key(key),
                Some(key) => self.field(key)?,
            },
            Next::Length(field, mut length) => match length.push(byte)? {
                None => Next::Length(field, length),
                Some(length) => self.value(field, length)?,
            },
            Next::Number(mut number) => match number.push(byte)? {
                None => Next::Number(number),
                Some(_) => Next::Key(Varint::default()),
            },
            other @ (Next::Skip(_) | Next::Frame { .. }) => other,
        })
    }

    fn field(&mut self, key: u64) -> Result<Next, Malformed> {
        match (key >> 3, key & 7) {
            (0, _) => Err(Malformed),
            (_, 0) => Ok(Next::Number(Varint::default())),
            (_, 1) => self.skip(8),
            (field, 2) => Ok(Next::Length(field, Varint::default())),
            (_, 5) => self.skip(4),
            _ => Err(Malformed),
        }
    }

    fn value(&mut self, field: u64, length: u64) -> Result<Next, Malformed> {
        let leads_on = WAY[self.depth] == field;
        let Some(inner) = self.left.get(self.depth + 1).filter(|_| leads_on) else {
            self.entries += u64::from(leads_on);
            return self.skip(length);
        };
        debug_assert_eq!(*inner, 0);
        self.spend(length)?;
        self.depth += 1;
        self.left[self.depth] = length;
        Ok(Next::Key(Varint::default()))
    }

    fn skip(&mut self, length: u64) -> Result<Next, Malformed> {
        self.spend(length)?;
        Ok(Next::Skip(length))
    }

    /// Nothing is longer than what it is in.
    fn spend(&mut self, bytes: u64) -> Result<(), Malformed> {
        let left = &mut self.left[self.depth];
        *left = left.checked_sub(bytes).ok_or(Malformed)?;
        Ok(())
    }

    fn after_skipping(&mut self, left: u64) -> Next {
        if left > 0 {
            return Next::Skip(left);
        }
        while self.depth > 0 && self.left[self.depth] == 0 {
            self.depth -= 1;
        }
        if self.framed && self.depth == 0 && self.left[0] == 0 {
            Next::Frame { read: 0, length: 0 }
        } else {
            Next::Key(Varint::default())
        }
    }

    fn frame(&mut self, read: u8, length: u64, byte: u8) -> Result<Next, Malformed> {
        match read {
            // Nobody on the way can look into what is compressed.
            0 if byte != 0 => Err(Malformed),
            4 => {
                self.left[0] = length << 8 | u64::from(byte);
                Ok(Next::Key(Varint::default()))
            }
            _ => Ok(Next::Frame { read: read + 1, length: length << 8 | u64::from(byte) }),
        }
    }
}

impl Varint {
    /// The number, when this is its last byte.
    fn push(&mut self, byte: u8) -> Result<Option<u64>, Malformed> {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * self.read;
        if shift > 63 || (bits << shift) >> shift != bits {
            return Err(Malformed);
        }
        self.value |= bits << shift;
        self.read += 1;
        Ok((byte < 0x80).then_some(self.value))
    }
}
