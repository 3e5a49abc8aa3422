use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::error::BoxError;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckOutcome {
    /// All is well.
    Pass,
    /// It works, but not well: fewer calls should come. Why, in a sentence.
    Warn(String),
    /// It does not work: no calls should come. Why, in a sentence.
    Fail(String),
}

/// The future of a check.
pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = CheckOutcome> + Send + 'a>>;

/// Something that an instance needs in order to do its work, and that can be asked whether it is well.
///
/// It belongs to a service in one process, and counts for all instances there.
///
/// # Contract
/// - `check` MUST NOT block its thread: the directory and the bus of the process run there too.
/// - Dropping its future MUST be harmless: a check that does not end in time is dropped, and counts as
///   failed.
/// - It MAY be called while nothing is wrong, for as long as the service runs.
///
/// # Examples
/// ```
/// use callboard::health::{CheckFuture, CheckOutcome, HealthCheck};
///
/// struct Disk;
///
/// impl HealthCheck for Disk {
///     fn name(&self) -> &str {
///         "disk"
///     }
///
///     fn check(&self) -> CheckFuture<'_> {
///         Box::pin(async {
///             match tokio::task::spawn_blocking(|| std::fs::metadata("/")).await {
///                 Ok(Ok(_)) => CheckOutcome::Pass,
///                 Ok(Err(error)) => CheckOutcome::Fail(error.to_string()),
///                 Err(error) => CheckOutcome::Fail(error.to_string()),
///             }
///         })
///     }
/// }
/// ```
pub trait HealthCheck: Send + Sync + 'static {
    /// What it looks at, for the reason of a state: a word or two.
    fn name(&self) -> &str;

    /// Looks.
    ///
    /// # Cancel safety
    /// It is dropped when its time is over.
    fn check(&self) -> CheckFuture<'_>;
}

/// A check by a function: `Ok` passes, `Err` fails with the error as the reason.
///
/// # Examples
/// ```
/// use callboard::health::check;
///
/// let queue = check("queue", || async {
///     if std::path::Path::new("/tmp").exists() { Ok(()) } else { Err("no /tmp".into()) }
/// });
/// ```
pub fn check<F, Fut>(name: impl Into<String>, function: F) -> FnCheck
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let look = move || -> CheckFuture<'static> {
        let looked = function();
        Box::pin(async move {
            match looked.await {
                Ok(()) => CheckOutcome::Pass,
                Err(error) => CheckOutcome::Fail(error.to_string()),
            }
        })
    };
    FnCheck { name: name.into(), look: Arc::new(look) }
}

/// A check by a function; see [`check`].
#[derive(Clone)]
pub struct FnCheck {
    name: String,
    look: Arc<dyn Fn() -> CheckFuture<'static> + Send + Sync>,
}

impl HealthCheck for FnCheck {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> CheckFuture<'_> {
        (self.look)()
    }
}

impl fmt::Debug for FnCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FnCheck").field(&self.name).finish()
    }
}
