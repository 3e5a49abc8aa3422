/// The embedded log.
#[derive(Debug)]
pub struct EmbeddedLog;
