//! Parts of an input.

/// Reads an input; what is missing at its end is empty, or zero.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// A whole input.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes, or as many as there are.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        let number = if n <= 256 {
            usize::from(self.u8())
        } else {
            usize::from(self.u8()) << 8 | usize::from(self.u8())
        };
        number % n
    }

    /// True for one byte of `n`.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.u8().is_multiple_of(n)
    }

    /// A part behind its length.
    pub fn part(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8()) << 8 | usize::from(self.u8());
        self.take(len)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> i64 {
        self.take(8)
            .iter()
            .fold(0, |number, byte| number << 8 | i64::from(*byte))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Parts, each behind its length; longer ones than a length can say are cut.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        let part = &part[..part.len().min(usize::from(u16::MAX))];
        joined.extend_from_slice(&(part.len() as u16).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}
