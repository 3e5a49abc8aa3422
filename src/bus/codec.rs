//! Bodies to bytes and back. The only file that names bincode.

use serde::{Serialize, de::DeserializeOwned};

/// The largest body in bytes; the decoder refuses a length above it before it allocates.
pub const BODY_BYTES_MAX: usize = 1 << 20;

type BincodeConfig = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<BODY_BYTES_MAX>,
>;
const BINCODE: BincodeConfig = bincode::config::standard().with_limit::<BODY_BYTES_MAX>();

/// How a body is encoded. The number stands in every message of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// bincode 2, standard configuration.
    #[default]
    Bincode = 1,
    /// JSON, for those who write messages by hand.
    Json = 2,
}

impl Codec {
    /// The number as it stands in a frame.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// The codec with this number, if there is one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Bincode),
            2 => Some(Self::Json),
            _ => None,
        }
    }
}

/// Why a body could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value refused to be encoded.
    #[error("the value can't be encoded: {0}")]
    Encode(String),
    /// The bytes are not such a value.
    #[error("the bytes are not such a value: {0}")]
    Decode(String),
    /// There are bytes after the value: it was written by another type.
    #[error("{0} bytes are left over after the value")]
    Trailing(usize),
}

/// Appends the encoded value; on error the buffer is as it was.
///
/// # Errors
/// [`CodecError::Encode`] when the value's own `Serialize` fails or the codec has no form for it.
pub fn encode<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    into: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let before = into.len();
    let result = match codec {
        Codec::Bincode => encode_bincode(value, into),
        Codec::Json => encode_json(value, into),
    };
    if result.is_err() {
        into.truncate(before);
    }
    result
}

/// Decodes a value that takes up all of the bytes.
///
/// A length in the bytes is believed only up to [`BODY_BYTES_MAX`]; a hostile one allocates no more
/// than that.
///
/// # Errors
/// [`CodecError::Decode`] when the bytes are not such a value, [`CodecError::Trailing`] when they
/// hold more than it.
pub fn decode<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, CodecError> {
    match codec {
        Codec::Bincode => decode_bincode(bytes),
        Codec::Json => decode_json(bytes),
    }
}

// Out of line: one copy per type is enough, and callers stay small.
#[inline(never)]
fn encode_bincode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CodecError> {
    match bincode::serde::encode_into_std_write(value, into, BINCODE) {
        Ok(_) => Ok(()),
        Err(error) => Err(encode_error(&error)),
    }
}

#[inline(never)]
fn encode_json<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CodecError> {
    serde_json::to_writer(into, value).map_err(|error| encode_error(&error))
}

#[inline(never)]
fn decode_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bincode::serde::decode_from_slice::<T, _>(bytes, BINCODE) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(CodecError::Trailing(bytes.len().saturating_sub(read))),
        Err(error) => Err(decode_error(&error)),
    }
}

#[inline(never)]
fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    serde_json::from_slice(bytes).map_err(|error| decode_error(&error))
}

fn encode_error(error: &dyn std::fmt::Display) -> CodecError {
    CodecError::Encode(error.to_string())
}

fn decode_error(error: &dyn std::fmt::Display) -> CodecError {
    CodecError::Decode(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_both_codecs() {
        for codec in [Codec::Bincode, Codec::Json] {
            let value = ("ä".to_owned(), vec![1_u64, u64::MAX], Some(-3_i32));
            let mut bytes = b"before".to_vec();
            encode(codec, &value, &mut bytes).unwrap();
            let back: (String, Vec<u64>, Option<i32>) = decode(codec, &bytes[6..]).unwrap();
            assert_eq!(back, value);
            assert_eq!(Codec::from_byte(codec.to_byte()), Some(codec));
        }
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = Vec::new();
        encode(Codec::Bincode, &7_u64, &mut bytes).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u64>(Codec::Bincode, &bytes), Err(CodecError::Trailing(1))));
        assert!(decode::<u64>(Codec::Json, b"7 8").is_err());
    }

    #[test]
    fn a_hostile_length_is_refused_before_it_allocates() {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1_u64 << 50).to_le_bytes());
        assert!(decode::<String>(Codec::Bincode, &bytes).is_err());
        assert!(decode::<Vec<u64>>(Codec::Bincode, &bytes).is_err());
    }

    #[test]
    fn a_failed_encode_leaves_the_buffer_as_it_was() {
        struct Fails;
        impl Serialize for Fails {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error as _, SerializeTuple as _};
                let mut tuple = s.serialize_tuple(2)?;
                tuple.serialize_element(&1_u64)?;
                Err(S::Error::custom("no"))
            }
        }
        for codec in [Codec::Bincode, Codec::Json] {
            let mut bytes = vec![9];
            assert!(encode(codec, &Fails, &mut bytes).is_err());
            assert_eq!(bytes, [9]);
        }
    }
}
