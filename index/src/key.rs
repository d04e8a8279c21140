//! Order-preserving keys: tuples of numbers and strings whose bytes sort like the tuples. Format: `docs/formats.md`.

use bytes::Bytes;
use smallvec::SmallVec;

/// A key that its writer could not have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed key at byte {at}")]
pub struct KeyError {
    /// Where reading stopped.
    pub at: usize,
}

/// A zero byte inside a string is followed by this.
const ESCAPED: u8 = 0xFF;
/// A zero byte that ends a string is followed by this.
const END: u8 = 0x01;

/// Writes a key. It is on the stack, unless it grows long: a row is looked up without an allocation.
#[derive(Debug, Default)]
pub struct KeyWriter {
    /// Most keys are shorter, so that the finished key is the only allocation.
    bytes: SmallVec<[u8; 96]>,
}

impl KeyWriter {
    /// An empty key.
    pub fn new() -> KeyWriter {
        KeyWriter::default()
    }

    /// A key that begins with what another writer wrote.
    pub fn from_prefix(prefix: &[u8]) -> KeyWriter {
        KeyWriter {
            bytes: SmallVec::from_slice(prefix),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> &mut KeyWriter {
        self.bytes.push(value);
        self
    }

    /// Four bytes, big-endian, sign flipped.
    #[inline]
    pub fn i32(&mut self, value: i32) -> &mut KeyWriter {
        self.u32(value as u32 ^ 1 << 31)
    }

    /// Four bytes, big-endian.
    #[inline]
    pub fn u32(&mut self, value: u32) -> &mut KeyWriter {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Eight bytes, big-endian, sign flipped.
    #[inline]
    pub fn i64(&mut self, value: i64) -> &mut KeyWriter {
        self.u64(value as u64 ^ 1 << 63)
    }

    /// Eight bytes, big-endian.
    #[inline]
    pub fn u64(&mut self, value: u64) -> &mut KeyWriter {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A string, of any content: a shorter one sorts before the longer ones that begin with it.
    #[inline]
    pub fn str(&mut self, value: &str) -> &mut KeyWriter {
        self.bytes(value.as_bytes())
    }

    /// Like [`KeyWriter::str`].
    pub fn bytes(&mut self, value: &[u8]) -> &mut KeyWriter {
        self.open_bytes(value);
        self.bytes.extend_from_slice(&[0, END]);
        self
    }

    /// Bytes as they are: the last part of a key, whatever it holds.
    #[inline]
    pub fn raw(&mut self, value: &[u8]) -> &mut KeyWriter {
        self.bytes.extend_from_slice(value);
        self
    }

    /// The beginning of a string: for the prefix of all keys whose string begins so.
    #[inline]
    pub fn open_str(&mut self, value: &str) -> &mut KeyWriter {
        self.open_bytes(value.as_bytes())
    }

    fn open_bytes(&mut self, value: &[u8]) -> &mut KeyWriter {
        if !value.contains(&0) {
            self.bytes.extend_from_slice(value);
            return self;
        }
        for part in value.split_inclusive(|byte| *byte == 0) {
            self.bytes.extend_from_slice(part);
            if part.last() == Some(&0) {
                self.bytes.push(ESCAPED);
            }
        }
        self
    }

    /// The key.
    pub fn finish(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }
}

/// What is written so far.
impl std::ops::Deref for KeyWriter {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a key, in the order in which it was written.
#[derive(Debug)]
pub struct KeyReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> KeyReader<'a> {
    /// Of a whole key.
    pub fn new(bytes: &'a [u8]) -> KeyReader<'a> {
        KeyReader { bytes, at: 0 }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let raw = self
            .bytes
            .get(self.at..self.at + N)
            .and_then(|raw| raw.try_into().ok());
        let raw = raw.ok_or(KeyError { at: self.at })?;
        self.at += N;
        Ok(raw)
    }

    /// See [`KeyWriter::u8`].
    pub fn u8(&mut self) -> Result<u8, KeyError> {
        Ok(self.take::<1>()?[0])
    }

    /// See [`KeyWriter::i32`].
    pub fn i32(&mut self) -> Result<i32, KeyError> {
        Ok((u32::from_be_bytes(self.take()?) ^ 1 << 31) as i32)
    }

    /// See [`KeyWriter::u32`].
    pub fn u32(&mut self) -> Result<u32, KeyError> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    /// See [`KeyWriter::i64`].
    pub fn i64(&mut self) -> Result<i64, KeyError> {
        Ok((u64::from_be_bytes(self.take()?) ^ 1 << 63) as i64)
    }

    /// See [`KeyWriter::u64`].
    pub fn u64(&mut self) -> Result<u64, KeyError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    /// See [`KeyWriter::str`].
    pub fn str(&mut self) -> Result<String, KeyError> {
        let at = self.at;
        String::from_utf8(self.bytes()?).map_err(|_| KeyError { at })
    }

    /// See [`KeyWriter::bytes`].
    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut value = Vec::new();
        loop {
            match self.u8()? {
                0 => match self.u8()? {
                    END => return Ok(value),
                    ESCAPED => value.push(0),
                    _ => return Err(KeyError { at: self.at - 1 }),
                },
                byte => value.push(byte),
            }
        }
    }

    /// What was read just now can be read, and yet nobody writes it.
    pub fn malformed(&self) -> KeyError {
        KeyError { at: self.at }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(tuple: &(Vec<u8>, i32, i64, u64)) -> Bytes {
        KeyWriter::new()
            .bytes(&tuple.0)
            .i32(tuple.1)
            .i64(tuple.2)
            .u64(tuple.3)
            .finish()
    }

    fn short_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 0xFE, 0xFF]), 0..4)
    }

    proptest! {
        #[test]
        fn bytes_order_like_tuples(
            a in (short_bytes(), any::<i32>(), any::<i64>(), any::<u64>()),
            b in (short_bytes(), any::<i32>(), any::<i64>(), any::<u64>()),
        ) {
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
        }

        #[test]
        fn what_is_written_is_read(a in (short_bytes(), any::<i32>(), any::<i64>(), any::<u64>())) {
            let key = encode(&a);
            let mut reader = KeyReader::new(&key);
            let read = (reader.bytes().unwrap(), reader.i32().unwrap(), reader.i64().unwrap(), reader.u64().unwrap());
            prop_assert_eq!(read, a);
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn garbage_is_an_error_or_a_value(garbage in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = KeyReader::new(&garbage);
            let _ = reader.bytes().and_then(|_| reader.i64());
        }

        #[test]
        fn an_open_string_is_the_prefix_of_its_continuations(a in short_bytes(), b in short_bytes()) {
            let prefix = KeyWriter::new().open_bytes(&a).finish();
            let key = KeyWriter::new().bytes(&b).finish();
            prop_assert_eq!(key.starts_with(&prefix), b.starts_with(&a));
        }
    }

    #[test]
    fn the_format_is_fixed() {
        let key = KeyWriter::new()
            .u8(7)
            .str("a\0b")
            .i32(-1)
            .i64(1)
            .u64(2)
            .u32(3)
            .finish();
        let golden = [
            7, b'a', 0, 0xFF, b'b', 0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0,
            0, 0, 0, 0, 0, 2, 0, 0, 0, 3,
        ];
        assert_eq!(key[..], golden);
    }
}
