use super::{CONFIG_BYTES_MAX, CONFIG_HISTORY_MAX};
use crate::{
    directory::DirectoryError,
    error::{BoxError, Error},
    id::{Name, NameError},
    kv::KvError,
};

/// Why a configuration could not be read or written.
///
/// Nothing was written unless the variant says that it may have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The value can't be written as JSON.
    #[error("the value for the configuration {name} can't be written as JSON")]
    Encode {
        /// The configuration.
        name: Name,
        /// What serde says.
        #[source]
        source: BoxError,
    },
    /// The value is over [`CONFIG_BYTES_MAX`].
    #[error(
        "the value for the configuration {name} has {bytes} bytes of JSON, over {CONFIG_BYTES_MAX}; \
         split it over several names, or keep it elsewhere and configure where"
    )]
    TooLarge {
        /// The configuration.
        name: Name,
        /// Its size as JSON.
        bytes: usize,
    },
    /// Another version stands than the one that was expected.
    #[error(
        "the configuration {name} is at version {found}, not {expected}; read it again and decide \
         anew (version 0 is none)"
    )]
    Conflict {
        /// The configuration.
        name: Name,
        /// The version that the caller had seen; 0 for none.
        expected: u64,
        /// The version that stands; 0 for none.
        found: u64,
    },
    /// Others changed it each time between reading and writing.
    #[error(
        "the configuration {name} was changed by others {attempts} times while it was to be written; \
         try again later"
    )]
    Contended {
        /// The configuration.
        name: Name,
        /// How often it was tried.
        attempts: u32,
    },
    /// There is no such version to go back to.
    #[error(
        "the configuration {name} has no version {version} with a value that can be read; of its \
         versions the last {CONFIG_HISTORY_MAX} are kept, and `history` lists them"
    )]
    NoSuchVersion {
        /// The configuration.
        name: Name,
        /// What was asked for.
        version: u64,
    },
    /// What stands in the store was not written by callboard, or was spoilt.
    #[error(
        "what the store holds for the configuration {name} can't be read ({reason}); `set` it or \
         `rollback` to a version of its history"
    )]
    Unreadable {
        /// The configuration.
        name: Name,
        /// What is wrong.
        reason: String,
    },
    /// The value does not fit the type that it was read as.
    #[error("version {version} of the configuration {name} does not fit its type")]
    Parse {
        /// The configuration.
        name: Name,
        /// The version.
        version: u64,
        /// What serde says.
        #[source]
        source: BoxError,
    },
    /// The directory could not do it. After [`DirectoryError::Store`] a write may have happened:
    /// `history` shows it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<KvError> for ConfigError {
    fn from(error: KvError) -> Self {
        Self::Directory(error.into())
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error.into())
    }
}
