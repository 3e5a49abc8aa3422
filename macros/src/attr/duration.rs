use std::time::Duration;

use syn::LitStr;

/// The longest duration that a setting may have.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads a duration such as `"500ms"`: the same forms as `callboard::parse_duration`, which reads
/// the configuration.
fn parse_duration(text: &str) -> Option<Duration> {
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = trimmed.split_at(unit_at);
    let seconds_per_unit = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds_per_unit).ok()
}

/// Reads a duration, zero included.
pub(crate) fn duration(literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    let Some(duration) = parse_duration(&text) else {
        let text = format!(
            "`{text}` is not a duration: write a number and ns, us, ms, s, m, h or d, as in \
             \"500ms\" or \"1.5s\""
        );
        return Err(syn::Error::new(literal.span(), text));
    };
    if duration > LONGEST {
        let text = format!("`{text}` is too long: write at most \"366d\"");
        return Err(syn::Error::new(literal.span(), text));
    }
    Ok(duration)
}

/// Reads a duration above zero.
pub(crate) fn positive_duration(literal: &LitStr) -> syn::Result<Duration> {
    let read = duration(literal)?;
    if read.is_zero() {
        let text = format!("`{}` is no time at all: write at least \"1ns\"", literal.value());
        return Err(syn::Error::new(literal.span(), text));
    }
    Ok(read)
}

/// Reads `"shortest..longest"`; both are above zero and in order.
pub(crate) fn duration_range(literal: &LitStr) -> syn::Result<(Duration, Option<Duration>)> {
    let text = literal.value();
    let part = |part: &str| positive_duration(&LitStr::new(part.trim(), literal.span()));
    let Some((shortest, longest)) = text.split_once("..") else {
        return Ok((part(&text)?, None));
    };
    let (low, high) = (part(shortest)?, part(longest)?);
    if low > high {
        let text = format!(
            "`{text}` runs backwards: write the shorter one first, \"{}..{}\"",
            longest.trim(),
            shortest.trim()
        );
        return Err(syn::Error::new(literal.span(), text));
    }
    Ok((low, Some(high)))
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn literal(text: &str) -> LitStr {
        LitStr::new(text, Span::call_site())
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration(&literal("500ms")).ok(), Some(Duration::from_millis(500)));
        assert_eq!(duration(&literal("1.5s")).ok(), Some(Duration::from_millis(1500)));
        assert_eq!(duration(&literal("0s")).ok(), Some(Duration::ZERO));
        for bad in ["", "10", "10 secs", "s", "-1s", "1e400s", "10x", "400d", "NaNs"] {
            assert!(duration(&literal(bad)).is_err(), "{bad:?}");
        }
        assert!(positive_duration(&literal("0s")).is_err());
    }

    #[test]
    fn ranges_are_in_order() {
        let range = duration_range(&literal("100ms..10s")).ok();
        assert_eq!(range, Some((Duration::from_millis(100), Some(Duration::from_secs(10)))));
        assert_eq!(duration_range(&literal("1s")).ok(), Some((Duration::from_secs(1), None)));
        for bad in ["10s..1s", "..1s", "1s..", "0s..1s"] {
            assert!(duration_range(&literal(bad)).is_err(), "{bad:?}");
        }
    }
}
