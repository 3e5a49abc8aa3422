use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    address::{CodecContext, with_context},
    bus::codec::{Codec, CodecError, decode},
};

/// The body of a message as it lies in the log.
#[derive(Clone)]
pub struct MessageBody {
    codec: Codec,
    bytes: Bytes,
    /// Addresses within it are those of this process's system.
    context: CodecContext,
}

impl MessageBody {
    pub(super) fn new(codec: Codec, bytes: Bytes, context: CodecContext) -> Self {
        Self { codec, bytes, context }
    }

    /// How it is encoded.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// It as a message, or as whatever else has this form.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not such a value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        with_context(&self.context, || decode(self.codec, &self.bytes))
    }

    /// It as text, when it is JSON.
    pub fn json(&self) -> Option<&str> {
        match self.codec {
            Codec::Json => std::str::from_utf8(&self.bytes).ok(),
            Codec::Bincode => None,
        }
    }
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBody")
            .field("codec", &self.codec)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
