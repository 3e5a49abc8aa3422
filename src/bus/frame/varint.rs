//! Numbers of variable length: seven bits a byte, lowest first, at most ten bytes, never longer
//! than needed; and a reader that cannot run past its end.

use super::FrameError;

/// Appends a number.
pub(super) fn put(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value as u8) | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Reads from a slice; every step checks what is left.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(FrameError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N)?.try_into().map_err(|_| FrameError::Truncated)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, FrameError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Result<u64, FrameError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // Bits that would fall off, or a last byte that adds nothing, are another spelling of
            // the same number: refused, so that equal frames are equal bytes.
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(FrameError::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FrameError::Number)
    }

    pub(super) fn varint_u32(&mut self) -> Result<u32, FrameError> {
        u32::try_from(self.varint()?).map_err(|_| FrameError::Number)
    }

    /// A text that begins with its length.
    pub(super) fn text(&mut self, bytes_max: usize) -> Result<&'a str, FrameError> {
        let length = usize::try_from(self.varint()?).map_err(|_| FrameError::Number)?;
        if length > bytes_max {
            return Err(FrameError::Number);
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| FrameError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut reader = Reader::new(&bytes, 0);
            assert_eq!(reader.varint().unwrap(), value);
            assert_eq!(reader.left(), 0);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for bytes in [&[0x80, 0x00][..], &[0xff; 10], &[0xff; 11], &[0x80]] {
            assert!(Reader::new(bytes, 0).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_reader_never_runs_past_its_end() {
        let mut reader = Reader::new(&[1, 2], 5);
        assert!(reader.u8().is_err());
        let mut reader = Reader::new(&[200, 1], 0);
        assert!(reader.text(1000).is_err());
    }
}
