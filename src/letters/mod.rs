//! What lies in the log beside the live messages: dead letters and retained messages.
//!
//! Owns looking at them ([`DeadLetters`], [`Retained`]), putting them into a stream again
//! ([`Replay`]), and carrying them into a test ([`Recording`]). Does not decide what is buried or
//! kept: the bus does.
//!
//! A system gives the handles: [`System::dead_letters`](crate::System::dead_letters),
//! [`System::dead_letters_of_nodes`](crate::System::dead_letters_of_nodes),
//! [`System::retained`](crate::System::retained).

mod body;
mod dead;
mod error;
mod letter;
mod pace;
mod plan;
mod progress;
mod recording;
mod replay;
mod retained;
mod run;
mod running;
mod scan;
mod selection;

pub use body::MessageBody;
pub use dead::{DeadLetters, LETTERS_PER_PAGE_MAX, LetterPage};
pub use error::{LettersError, RecordingError, ReplayError};
pub use letter::{DeadLetter, LetterSummary};
pub use pace::{REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX};
pub use progress::{ReplayProgress, ReplayReport, Skip, SkipReason};
pub use recording::{RECORDING_BYTES_MAX, RecordedMessage, Recording};
pub use replay::Replay;
pub use retained::{MessagePlace, Retained, RetainedMessage, RetainedPage, RetainedSummary};
pub use running::RunningReplay;
pub use selection::{SELECTION_IDS_MAX, Selection};
