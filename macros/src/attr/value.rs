use std::{fmt::Display, str::FromStr};

use proc_macro2::Ident;
use syn::{
    LitInt, LitStr, Token,
    parse::{Parse, ParseStream},
};

use super::{did_you_mean, listed};

/// Reads `= value` behind a key.
pub(crate) fn setting<T: Parse>(
    input: ParseStream<'_>,
    key: &Ident,
    example: &str,
) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(key, format!("write `{key} = {example}`")));
    }
    input.parse::<Token![=]>()?;
    input.parse::<T>().map_err(|error| {
        syn::Error::new(error.span(), format!("write `{key} = {example}`: {error}"))
    })
}

/// Reads `= "text"`.
pub(crate) fn text(input: ParseStream<'_>, key: &Ident, example: &str) -> syn::Result<LitStr> {
    literal(input, key, "a text in quotes", &format!("{example:?}"))
}

/// Reads `= 5`. Gives the literal too, for what is said about it later.
pub(crate) fn integer<T>(
    input: ParseStream<'_>,
    key: &Ident,
    example: &str,
) -> syn::Result<(T, LitInt)>
where
    T: FromStr<Err: Display>,
{
    let literal: LitInt = literal(input, key, "a whole number", example)?;
    let value = literal.base10_parse::<T>().map_err(|_| {
        let text = format!("`{literal}` is no number for `{key}`: write `{key} = {example}`");
        syn::Error::new(literal.span(), text)
    })?;
    Ok((value, literal))
}

/// Reads `= "word"`, where few words have a meaning.
pub(crate) fn choice(
    input: ParseStream<'_>,
    key: &Ident,
    choices: &[&'static str],
) -> syn::Result<&'static str> {
    let literal = text(input, key, choices[0])?;
    let word = literal.value();
    if let Some(&chosen) = choices.iter().find(|&&choice| choice == word) {
        return Ok(chosen);
    }
    let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
    let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
    let text = match did_you_mean(&word.to_lowercase(), choices) {
        Some(meant) => format!("unknown `{key}` {word:?}; did you mean \"{meant}\"?"),
        None => format!("unknown `{key}` {word:?}: write {}", listed(&quoted).replace('`', "")),
    };
    Err(syn::Error::new(literal.span(), text))
}

fn literal<T: Parse>(
    input: ParseStream<'_>,
    key: &Ident,
    what: &str,
    example: &str,
) -> syn::Result<T> {
    let text = format!("`{key}` takes {what}: write `{key} = {example}`");
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(key, text));
    }
    input.parse::<Token![=]>()?;
    input.parse::<T>().map_err(|error| syn::Error::new(error.span(), text))
}
