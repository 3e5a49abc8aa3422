/// The embedded store.
#[derive(Debug)]
pub struct EmbeddedKv;
