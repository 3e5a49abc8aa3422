/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// They end before the frame does.
    #[error("it ends too early")]
    Truncated,
    /// The first byte is not a format version that this reader knows.
    #[error("its format is {0}, not one that this version reads")]
    Format(u8),
    /// Flags are set that this reader does not know.
    #[error("it has unknown flags ({0:#04x})")]
    Flags(u8),
    /// It is sealed with a key.
    #[error("it is sealed with key {0}, which is not known here")]
    Sealed(u8),
    /// The checksum is another.
    #[error("its checksum does not match")]
    Checksum,
    /// A length or a number is out of bounds.
    #[error("it holds a number that is out of bounds")]
    Number,
    /// A text is not UTF-8, or a name breaks the rules for names.
    #[error("it holds a text that is not allowed")]
    Text,
    /// A message's kind is not known.
    #[error("a message is of the unknown kind {0}")]
    Kind(u8),
    /// A message's codec is not known.
    #[error("a message is in the unknown codec {0}")]
    Codec(u8),
    /// Its parts contradict one another.
    #[error("its parts contradict one another: {0}")]
    Contradiction(&'static str),
    /// It is larger than any frame may be.
    #[error("it has {0} bytes, more than any frame")]
    TooLarge(usize),
}
