//! Reads `#[actor(..)]`. The bounds are those that `ActorOptions` documents.

use proc_macro2::Ident;
use syn::{Attribute, parse::ParseStream, token};

use super::model::{Argument, Settings};
use crate::attr::{
    Errors, bytes, choice, duration, duration_range, group, in_bounds, integer, millicores,
    positive_duration, read_attributes, text,
};

const KEYS: &[&str] = &["name", "mailbox", "cpu", "restart", "breaker", "stop"];
const CAPACITY_MAX: u64 = 1 << 20;
const WEIGHT_MAX: u64 = 10_000;
const COUNT_MAX: u64 = u32::MAX as u64;
/// The longest wait between two probes, unless the actor says otherwise.
const PROBE_AFTER_LONGEST: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) fn read(attributes: &[Attribute], errors: &mut Errors) -> Settings {
    let mut settings = Settings::default();
    read_attributes(attributes, "actor", KEYS, errors, |word, key, input, errors| {
        let into = &mut settings;
        match word {
            "name" => into.name = Some(text(input, key, "counter")?),
            "mailbox" => mailbox(input, key, into, errors)?,
            "cpu" => cpu(input, key, into, errors)?,
            "restart" => restart(input, key, into, errors)?,
            "breaker" => breaker(input, key, into, errors)?,
            _ => stop(input, key, into, errors)?,
        }
        Ok(())
    });
    settings
}

fn mailbox(
    input: ParseStream<'_>,
    key: &Ident,
    into: &mut Settings,
    errors: &mut Errors,
) -> syn::Result<()> {
    const KEYS: &[&str] = &["capacity", "bytes", "overflow"];
    group(input, key, "capacity = 1024", KEYS, errors, |word, key, input, _| {
        match word {
            "capacity" => {
                let capacity = count(input, key, "1024", 1, CAPACITY_MAX)?;
                into.call("mailbox_capacity", vec![capacity]);
            }
            "bytes" => {
                let bytes = bytes(input, key)?;
                into.call("mailbox_bytes", vec![Argument::Number(bytes as u64)]);
            }
            _ => {
                let variant = match choice(input, key, &["wait", "reject", "drop_oldest"])? {
                    "wait" => "Wait",
                    "reject" => "Reject",
                    _ => "DropOldest",
                };
                into.call("mailbox_overflow", vec![Argument::Variant("Overflow", variant)]);
            }
        }
        Ok(())
    })
}

fn cpu(
    input: ParseStream<'_>,
    key: &Ident,
    into: &mut Settings,
    errors: &mut Errors,
) -> syn::Result<()> {
    group(input, key, "weight = 2", &["weight", "cap"], errors, |word, key, input, _| {
        if word == "weight" {
            into.call("cpu_weight", vec![count(input, key, "2", 1, WEIGHT_MAX)?]);
        } else {
            let cap = millicores(&text(input, key, "250m")?)?;
            into.call("cpu_cap", vec![Argument::Number(cap.into())]);
        }
        Ok(())
    })
}

fn restart(
    input: ParseStream<'_>,
    key: &Ident,
    into: &mut Settings,
    errors: &mut Errors,
) -> syn::Result<()> {
    const KEYS: &[&str] = &["when", "max", "within", "backoff"];
    group(input, key, "max = 5", KEYS, errors, |word, key, input, _| {
        match word {
            "when" => {
                let variant = match choice(input, key, &["failure", "always", "never"])? {
                    "failure" => "Failure",
                    "always" => "Always",
                    _ => "Never",
                };
                into.call("restart_when", vec![Argument::Variant("RestartWhen", variant)]);
            }
            "max" => {
                let (max, literal) = integer::<u64>(input, key, "5")?;
                if max == 0 {
                    let text = "no restart at all is written `restart(when = \"never\")`";
                    return Err(syn::Error::new(literal.span(), text));
                }
                let max = in_bounds(key, (max, literal), 1, COUNT_MAX)?;
                into.call("restart_max", vec![Argument::Number(max)]);
            }
            "within" => into.call("restart_within", vec![time(input, key, "30s")?]),
            _ => {
                let literal = text(input, key, "100ms..10s")?;
                let (shortest, longest) = duration_range(&literal)?;
                let Some(longest) = longest else {
                    let text = "write the shortest and the longest wait: `backoff = \
                                \"100ms..10s\"`";
                    return Err(syn::Error::new(literal.span(), text));
                };
                let arguments = vec![Argument::Time(shortest), Argument::Time(longest)];
                into.call("restart_backoff", arguments);
            }
        }
        Ok(())
    })
}

/// `breaker` alone, or with settings. Both switch it on.
fn breaker(
    input: ParseStream<'_>,
    key: &Ident,
    into: &mut Settings,
    errors: &mut Errors,
) -> syn::Result<()> {
    const KEYS: &[&str] = &[
        "failures",
        "failure_rate",
        "slow_rate",
        "slow",
        "minimum",
        "window",
        "probe_after",
        "probes",
        "hung",
        "tell",
    ];
    into.call("with_breaker", Vec::new());
    if !input.peek(token::Paren) && (input.is_empty() || input.peek(syn::Token![,])) {
        return Ok(());
    }
    group(input, key, "failures = 5", KEYS, errors, |word, key, input, _| {
        let (method, argument) = match word {
            "failures" => ("breaker_failures", count(input, key, "5", 1, COUNT_MAX)?),
            "failure_rate" => ("breaker_failure_rate", count(input, key, "50", 1, 100)?),
            "slow_rate" => ("breaker_slow_rate", count(input, key, "80", 1, 100)?),
            "slow" => ("breaker_slow", time(input, key, "5s")?),
            "minimum" => ("breaker_minimum", count(input, key, "20", 1, COUNT_MAX)?),
            "window" => ("breaker_window", time(input, key, "30s")?),
            "probes" => ("breaker_probes", count(input, key, "3", 1, COUNT_MAX)?),
            "hung" => ("breaker_hung", time(input, key, "60s")?),
            "probe_after" => {
                let (first, longest) = duration_range(&text(input, key, "1s..60s")?)?;
                let longest = longest.unwrap_or_else(|| PROBE_AFTER_LONGEST.max(first));
                let arguments = vec![Argument::Time(first), Argument::Time(longest)];
                into.call("breaker_probe_after", arguments);
                return Ok(());
            }
            _ => {
                let refuses = choice(input, key, &["store", "refuse"])? == "refuse";
                ("breaker_refuses_tells", Argument::Flag(refuses))
            }
        };
        into.call(method, vec![argument]);
        Ok(())
    })
}

fn stop(
    input: ParseStream<'_>,
    key: &Ident,
    into: &mut Settings,
    errors: &mut Errors,
) -> syn::Result<()> {
    group(input, key, "drain = \"10s\"", &["drain"], errors, |_, key, input, _| {
        let drain = duration(&text(input, key, "10s")?)?;
        into.call("stop_drain", vec![Argument::Time(drain)]);
        Ok(())
    })
}

fn count(
    input: ParseStream<'_>,
    key: &Ident,
    example: &str,
    low: u64,
    high: u64,
) -> syn::Result<Argument> {
    in_bounds(key, integer(input, key, example)?, low, high).map(Argument::Number)
}

fn time(input: ParseStream<'_>, key: &Ident, example: &str) -> syn::Result<Argument> {
    positive_duration(&text(input, key, example)?).map(Argument::Time)
}
