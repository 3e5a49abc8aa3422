use proc_macro2::Span;

/// The longest name in bytes.
const BYTES_MAX: usize = 128;

/// Checks a name of a message or an actor: letters of both cases, digits, `.`, `_` and `-`.
pub(crate) fn check_message_name(name: &str, span: Span) -> syn::Result<()> {
    let first = |c: char| c.is_ascii_alphanumeric();
    check(name, span, first, "a letter or digit, then letters, digits, `.`, `_` or `-`")
}

/// Checks a name of a topic: as above, lower case only.
pub(crate) fn check_name(name: &str, span: Span) -> syn::Result<()> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let how = "a lower-case letter or digit, then lower-case letters, digits, `.`, `_` or `-`";
    check(name, span, first, how)
}

fn check(name: &str, span: Span, first: impl Fn(char) -> bool, how: &str) -> syn::Result<()> {
    let mut chars = name.chars();
    let is_good = name.len() <= BYTES_MAX
        && chars.next().is_some_and(&first)
        && chars.all(|c| first(c) || matches!(c, '.' | '_' | '-'));
    if is_good {
        return Ok(());
    }
    let shown: String = name.chars().take(BYTES_MAX).collect();
    let text = format!("{shown:?} is not a name: write {how}, at most {BYTES_MAX} bytes");
    Err(syn::Error::new(span, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_the_library() {
        let message = |name: &str| check_message_name(name, Span::call_site()).is_ok();
        let topic = |name: &str| check_name(name, Span::call_site()).is_ok();
        assert!(message("counter.Get-2") && topic("orders.placed"));
        assert!(!topic("Orders") && !message("Add<T>") && !message("") && !message(".x"));
        assert!(message(&"x".repeat(128)) && !message(&"x".repeat(129)));
    }
}
