//! Bodies to bytes and back. The only file that names bincode.

mod bounded;

use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

use bounded::Root;

/// The largest body in bytes; the decoder refuses a length above it before it allocates.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How deep a body may be nested when it is decoded, in levels: each struct, tuple, sequence, map,
/// variant, newtype and `Some` is one. A deeper one is refused, because each level takes room on the
/// stack.
pub const DEPTH_MAX: usize = 128;
/// How many elements the sequences and maps of a body may have beyond one for each of its bytes: of
/// types that take none, such as `()`.
pub const BYTELESS_ELEMENTS_MAX: usize = 65_536;

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
/// than that. The sequences and maps of a value hold together at most an element for each byte and
/// [`BYTELESS_ELEMENTS_MAX`] more, and it is nested at most [`DEPTH_MAX`] levels deep: a type
/// that is recursive, or whose elements take no bytes, can be decoded from whatever comes.
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
    match bincode::serde::seed_decode_from_slice(Root::<T>::of_bytes(bytes.len()), bytes, BINCODE) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(CodecError::Trailing(bytes.len().saturating_sub(read))),
        Err(error) => Err(decode_error(&error)),
    }
}

#[inline(never)]
fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Root::<T>::of_bytes(bytes.len()).deserialize(&mut deserializer);
    let whole = value.and_then(|value| deserializer.end().map(|()| value));
    whole.map_err(|error| decode_error(&error))
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

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Tree {
        Leaf,
        One(Box<Tree>),
        Two(Box<Tree>, Box<Tree>),
        Named { left: Option<Box<Tree>>, rest: Vec<Tree> },
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Link(Option<Box<Link>>);

    /// On a stack that is small for a thread.
    fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_value_that_is_nested_too_deep_is_refused_and_takes_no_more_stack() {
        on_a_small_stack(|| {
            // `Some` for ever; variants 1 and 2 for ever.
            for byte in [1, 2] {
                let bytes = vec![byte; BODY_BYTES_MAX];
                let link = decode::<Link>(Codec::Bincode, &bytes).map(drop);
                let tree = decode::<Tree>(Codec::Bincode, &bytes).map(drop);
                assert!(byte != 1 || link.unwrap_err().to_string().contains("128 levels"));
                assert!(tree.unwrap_err().to_string().contains("128 levels"), "{byte}");
            }
            let open = vec![b'['; BODY_BYTES_MAX];
            assert!(decode::<Vec<Tree>>(Codec::Json, &open).is_err());
            // Neither an option nor a newtype takes a byte there.
            let error = decode::<Link>(Codec::Json, b"1").unwrap_err();
            assert!(error.to_string().contains("128 levels"), "{error}");
            assert_eq!(decode::<Link>(Codec::Json, b"null").unwrap(), Link(None));
        });
    }

    #[test]
    fn a_value_that_is_nested_just_not_too_deep_survives() {
        // A variant and what is in it are a level; so is the leaf.
        let nested =
            |levels: usize| (1..levels).fold(Tree::Leaf, |inner, _| Tree::One(Box::new(inner)));
        let mut bytes = Vec::new();
        encode(Codec::Bincode, &nested(DEPTH_MAX), &mut bytes).unwrap();
        assert_eq!(decode::<Tree>(Codec::Bincode, &bytes).unwrap(), nested(DEPTH_MAX));
        bytes.clear();
        encode(Codec::Bincode, &nested(DEPTH_MAX + 1), &mut bytes).unwrap();
        assert!(decode::<Tree>(Codec::Bincode, &bytes).is_err());
        let wide = Tree::Named {
            left: Some(Box::new(Tree::Two(Box::new(Tree::Leaf), Box::new(Tree::Leaf)))),
            rest: vec![Tree::Leaf, Tree::One(Box::new(Tree::Leaf))],
        };
        for codec in [Codec::Bincode, Codec::Json] {
            let mut bytes = Vec::new();
            encode(codec, &wide, &mut bytes).unwrap();
            assert_eq!(decode::<Tree>(codec, &bytes).unwrap(), wide);
        }
    }

    #[test]
    fn elements_without_bytes_do_not_spin() {
        let long = |length: u64| {
            let mut bytes = vec![253];
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes
        };
        let error = decode::<Vec<()>>(Codec::Bincode, &long(1 << 60)).unwrap_err();
        assert!(error.to_string().contains("elements"), "{error}");
        let mut several = vec![3];
        (0..3).for_each(|_| several.extend(long(1 << 15)));
        assert!(decode::<Vec<Vec<()>>>(Codec::Bincode, &several).is_err(), "together");
        let most = decode::<Vec<()>>(Codec::Bincode, &long(BYTELESS_ELEMENTS_MAX as u64)).unwrap();
        assert_eq!(most.len(), BYTELESS_ELEMENTS_MAX);
        type Units = std::collections::HashMap<(), ()>;
        assert!(decode::<Units>(Codec::Bincode, &long(1 << 60)).is_err());
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
