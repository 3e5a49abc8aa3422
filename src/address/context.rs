use std::{
    any::Any,
    cell::RefCell,
    sync::{Arc, Weak},
};

/// The process that encodes or decodes, as addresses in a message need to know it: hidden here
/// because who it is belongs to a higher layer.
pub(crate) type CodecContext = Weak<dyn Any + Send + Sync>;

thread_local! {
    static CURRENT: RefCell<Option<CodecContext>> = const { RefCell::new(None) };
}

/// Runs an encoding or decoding in a context.
pub(crate) fn with_context<T>(context: &CodecContext, run: impl FnOnce() -> T) -> T {
    struct Restore(Option<CodecContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| *current.borrow_mut() = self.0.take());
        }
    }
    let outer = CURRENT.with(|current| current.borrow_mut().replace(context.clone()));
    let _restore = Restore(outer);
    run()
}

/// The context that is being encoded or decoded in.
pub(crate) fn current_context() -> Option<Arc<dyn Any + Send + Sync>> {
    CURRENT.with(|current| current.borrow().as_ref().and_then(Weak::upgrade))
}
