//! Where entries come from: drawn from a demand shape, or read from a trace. Either way they are streamed.

mod drawn;
mod trace;

pub use drawn::Drawn;
pub use trace::Trace;

use crate::error::Result;

/// Nanoseconds in a second; all times here count from the beginning of a run.
pub const SECOND: u64 = 1_000_000_000;

/// One journal entry, with every draw that its fate depends on: all policies see the same luck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// When it arrives, in nanoseconds.
    pub at: u64,
    /// Its work, in seconds of one core.
    pub work: f32,
    /// A standard normal draw: how much longer or shorter than usual its service takes.
    pub luck: f32,
    /// Its size.
    pub bytes: u32,
    /// A uniform draw over all values.
    pub draw: u32,
    /// Index of its class.
    pub class: u16,
    /// Index of its route.
    pub route: u16,
}

/// A stream of entries, in order of arrival.
pub trait Source {
    /// Appends the entries that arrive before `end` (nanoseconds).
    ///
    /// # Errors
    /// What is wrong with a trace.
    fn until(&mut self, end: u64, into: &mut Vec<Entry>) -> Result<()>;

    /// Whether nothing comes any more.
    fn ended(&self) -> bool;
}

impl Entry {
    /// A uniform draw from 0 to 1, independent for every `salt`.
    #[must_use]
    pub fn uniform(&self, salt: u32) -> f64 {
        f64::from(mixed(self.draw ^ salt.wrapping_mul(0x9E37_79B9))) / 4_294_967_296.0
    }

    /// One of `n`, evenly; independent for every `salt`.
    #[must_use]
    pub fn one_of(&self, n: usize, salt: u32) -> usize {
        let draw = mixed(self.draw ^ salt.wrapping_mul(0x9E37_79B9));
        ((u64::from(draw) * n as u64) >> 32) as usize
    }
}

/// The finaliser of `MurmurHash3`: every bit of the input reaches every bit of the output.
fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}
