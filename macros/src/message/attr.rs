use syn::{Attribute, Expr, LitStr, Type};

use crate::attr::{Errors, in_bounds, integer, read_attributes, setting, text};

const KEYS: &[&str] =
    &["name", "version", "from", "reply", "error", "idempotent", "failure", "size"];

/// What `#[message(..)]` says.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) name: Option<LitStr>,
    pub(super) version: Option<u32>,
    pub(super) from: Option<Type>,
    pub(super) reply: Option<Type>,
    pub(super) error: Option<Type>,
    pub(super) idempotent: bool,
    pub(super) failure: Option<Expr>,
    pub(super) size: Option<Expr>,
}

pub(super) fn read(attributes: &[Attribute], errors: &mut Errors) -> Settings {
    let mut settings = Settings::default();
    read_attributes(attributes, "message", KEYS, errors, |word, key, input, _| {
        match word {
            "name" => settings.name = Some(text(input, key, "counter.get")?),
            "version" => {
                let version = integer(input, key, "2")?;
                settings.version = Some(in_bounds(key, version, 1, u32::MAX)?);
            }
            "from" => settings.from = Some(setting(input, key, "AddV1")?),
            "reply" => settings.reply = Some(setting(input, key, "u64")?),
            "error" => settings.error = Some(setting(input, key, "Overdrawn")?),
            "failure" => settings.failure = Some(setting(input, key, "path::to::function")?),
            "size" => settings.size = Some(setting(input, key, "path::to::function")?),
            _ => settings.idempotent = true,
        }
        Ok(())
    });
    settings
}
