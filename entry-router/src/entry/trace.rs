//! The trace that an entry belongs to, as `traceparent` tells it (<https://www.w3.org/TR/trace-context/>). The header
//! passes unchanged: the router adds no span of its own.

use std::fmt;

use http::{HeaderMap, HeaderName};
use serde::{Serialize, Serializer};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace's id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace([u8; 16]);

impl Trace {
    /// The id in the headers of a request, if they have a sound one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(&TRACEPARENT)?.as_bytes())
    }

    /// Version, id, parent and flags in lower-case hexadecimal; versions to come may add more.
    fn read(told: &[u8]) -> Option<Self> {
        let mut parts = told.split(|&byte| byte == b'-');
        let version = parts.next().filter(|part| is_hex(part, 2) && *part != b"ff")?;
        let id = parts.next().filter(|part| is_hex(part, 32))?;
        let sound = parts.next().is_some_and(|part| is_hex(part, 16))
            && parts.next().is_some_and(|part| is_hex(part, 2))
            && (version != b"00" || parts.next().is_none());
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(id.chunks_exact(2)) {
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        (sound && bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({self})")
    }
}

impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_hex(part: &[u8], length: usize) -> bool {
    part.len() == length && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn digit(hex: u8) -> u8 {
    if hex.is_ascii_digit() { hex - b'0' } else { hex - b'a' + 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_traceparent_has_an_id_and_nothing_else_has() {
        const ID: &str = "0af7651916cd43dd8448eb211c80319c";
        for (told, sound) in [
            (format!("00-{ID}-b7ad6b7169203331-01"), true),
            (format!("01-{ID}-b7ad6b7169203331-01-more"), true),
            (format!("00-{ID}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{ID}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{ID}-b7ad6b7169203331"), false),
            (format!("00-{ID}1-b7ad6b7169203331-01"), false),
            (ID.to_owned(), false),
            (String::new(), false),
        ] {
            let read = Trace::read(told.as_bytes()).map(|trace| trace.to_string());
            assert_eq!(read.as_deref(), sound.then_some(ID), "{told}");
        }
        assert_eq!(Trace::of(&HeaderMap::new()), None);
    }
}
