use std::fmt::Display;

use proc_macro2::Ident;
use syn::{LitInt, LitStr, Token, parse::ParseStream};

/// Checks that a number is within its bounds, both included.
pub(crate) fn in_bounds<T: PartialOrd + Display>(
    key: &Ident,
    (value, literal): (T, LitInt),
    low: T,
    high: T,
) -> syn::Result<T> {
    if low <= value && value <= high {
        return Ok(value);
    }
    let text = format!("`{key} = {literal}` is out of bounds: write a number from {low} to {high}");
    Err(syn::Error::new(literal.span(), text))
}

/// Reads a size: `= 65536` or `= "64 KiB"`.
pub(crate) fn bytes(input: ParseStream<'_>, key: &Ident) -> syn::Result<usize> {
    const HOW: &str = "write bytes as in `bytes = 65536`, or `bytes = \"64 KiB\"` (KiB, MiB, GiB), \
                       from 1 KiB to 1 GiB";
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(key, HOW));
    }
    input.parse::<Token![=]>()?;
    let (span, size) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.span(), parse_bytes(&literal.value()))
    } else {
        let literal: LitInt = input.parse().map_err(|error| syn::Error::new(error.span(), HOW))?;
        (literal.span(), literal.base10_parse().ok())
    };
    match size {
        Some(size) if (1 << 10..=1 << 30).contains(&size) => Ok(size),
        Some(size) => {
            let text = format!("{size} bytes are out of bounds: {HOW}");
            Err(syn::Error::new(span, text))
        }
        None => Err(syn::Error::new(span, HOW)),
    }
}

fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor: usize = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.trim().parse::<usize>().ok()?.checked_mul(factor)
}

/// Reads a share of the processor in thousandths of a core: `"250m"`, `"0.5"` or `"2"`.
pub(crate) fn millicores(literal: &LitStr) -> syn::Result<u32> {
    let text = literal.value();
    let parsed = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().ok(),
        None => text.parse::<f64>().ok().map(|cores| cores * 1000.0).and_then(whole),
    };
    match parsed {
        Some(cap) if (1..=1_024_000).contains(&cap) => Ok(cap),
        _ => {
            let text = format!(
                "{text:?} is no share of a processor: write thousandths of a core as in \"250m\", \
                 or cores as in \"0.5\" or \"2\", from \"1m\" to \"1024\""
            );
            Err(syn::Error::new(literal.span(), text))
        }
    }
}

/// The number when it is whole up to rounding and fits.
fn whole(number: f64) -> Option<u32> {
    let rounded = number.round();
    let fits = (0.0..=f64::from(u32::MAX)).contains(&rounded) && (number - rounded).abs() < 1e-6;
    // Checked just above: the cast neither cuts nor wraps.
    fits.then_some(rounded as u32)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn shares_of_a_processor_are_read() {
        let read = |text| millicores(&LitStr::new(text, Span::call_site())).ok();
        assert_eq!(read("250m"), Some(250));
        assert_eq!(read("0.5"), Some(500));
        assert_eq!(read("2"), Some(2000));
        for bad in ["", "m", "0", "0.0001", "-1", "1e99", "2 cores", "NaN", "inf"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_bytes("64 KiB"), Some(65_536));
        assert_eq!(parse_bytes("8MiB"), Some(8 << 20));
        for bad in ["", "8", "8 MB", "-1 KiB", "99999999999999999999 GiB", "99999999999 GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad:?}");
        }
    }
}
