use std::borrow::Cow;

use redis::{Cmd, ToRedisArgs};

use super::script::Name;
use crate::log::StreamName;

/// A command with what it is for, as an error says it.
pub(super) struct Call {
    verb: &'static str,
    stream: Option<String>,
    command: Cmd,
}

impl Call {
    pub(super) fn new(verb: &'static str, command: &str) -> Self {
        Self { verb, stream: None, command: redis::cmd(command) }
    }

    /// A call of a script on these keys.
    pub(super) fn script(verb: &'static str, script: Name, keys: &[String]) -> Self {
        let mut call = Self::new(verb, "EVALSHA");
        call.command.arg(script.hash()).arg(keys.len()).arg(keys);
        call
    }

    pub(super) fn on(mut self, stream: &StreamName) -> Self {
        self.stream = Some(stream.to_string());
        self
    }

    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.command.arg(arg);
        self
    }

    pub(super) fn push(&mut self, arg: impl ToRedisArgs) {
        self.command.arg(arg);
    }

    pub(super) fn command(&self) -> &Cmd {
        &self.command
    }

    pub(super) fn what(&self) -> Cow<'static, str> {
        match &self.stream {
            None => self.verb.into(),
            Some(stream) => format!("{} {stream}", self.verb).into(),
        }
    }
}
