//! Bytes and values: the only place that names an encoding.

use serde::{Serialize, de::DeserializeOwned};

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// bincode.
    Bincode = 1,
    /// JSON.
    Json = 2,
}

/// Bytes that are not the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

pub(crate) fn encode<T: Serialize>(
    codec: Codec,
    value: &T,
    into: &mut Vec<u8>,
) -> Result<(), CodecError> {
    match codec {
        Codec::Bincode => {
            bincode::serde::encode_into_std_write(value, into, bincode::config::standard())
                .map(drop)
                .map_err(|error| CodecError(error.to_string()))
        }
        Codec::Json => {
            serde_json::to_writer(into, value).map_err(|error| CodecError(error.to_string()))
        }
    }
}

pub(crate) fn decode<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, CodecError> {
    match codec {
        Codec::Bincode => bincode::serde::decode_from_slice(bytes, bincode::config::standard())
            .map(|(value, _)| value)
            .map_err(|error| CodecError(error.to_string())),
        Codec::Json => serde_json::from_slice(bytes).map_err(|error| CodecError(error.to_string())),
    }
}
