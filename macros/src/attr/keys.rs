use proc_macro2::{Ident, TokenTree};
use syn::{
    Attribute, Meta, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    token,
};

use super::{Errors, did_you_mean, listed};

/// Reads every `#[name(..)]` among the attributes.
pub(crate) fn read_attributes(
    attributes: &[Attribute],
    name: &str,
    keys: &[&str],
    errors: &mut Errors,
    mut read: impl FnMut(&str, &Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let mut seen = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        let Meta::List(list) = &attribute.meta else {
            let first = keys[0];
            errors.at(&attribute.meta, format!("write `#[{name}({first} = ..)]`"));
            continue;
        };
        let parser = |input: ParseStream<'_>| {
            keys_into(input, name, keys, &mut seen, errors, &mut read);
            Ok(())
        };
        let parsed = parser.parse2(list.tokens.clone());
        errors.take(parsed);
    }
}

/// Reads a list of settings up to its end. A mistake in one of them does not hide the others.
fn read_keys(
    input: ParseStream<'_>,
    owner: &str,
    keys: &[&str],
    errors: &mut Errors,
    mut read: impl FnMut(&str, &Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    keys_into(input, owner, keys, &mut Vec::new(), errors, &mut read);
}

/// Reads `key(..)`.
pub(crate) fn group(
    input: ParseStream<'_>,
    key: &Ident,
    example: &str,
    keys: &[&str],
    errors: &mut Errors,
    read: impl FnMut(&str, &Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) -> syn::Result<()> {
    if !input.peek(token::Paren) {
        return Err(syn::Error::new_spanned(key, format!("write `{key}({example})`")));
    }
    let content;
    syn::parenthesized!(content in input);
    if content.is_empty() {
        let text = format!("`{key}()` says nothing: write `{key}({example})`, or leave it out");
        return Err(syn::Error::new_spanned(key, text));
    }
    read_keys(&content, &key.to_string(), keys, errors, read);
    Ok(())
}

fn keys_into(
    input: ParseStream<'_>,
    owner: &str,
    keys: &[&str],
    seen: &mut Vec<String>,
    errors: &mut Errors,
    read: &mut impl FnMut(&str, &Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    while !input.is_empty() {
        let result = one_key(input, owner, keys, seen, errors, read);
        let failed = errors.take(result).is_none();
        if failed {
            skip_to_comma(input);
        }
        if input.is_empty() {
            return;
        }
        if input.parse::<Token![,]>().is_err() {
            errors.push(input.error("expected `,` between two settings"));
            skip_to_comma(input);
            // The comma itself, unless the list ended.
            drop(input.parse::<Token![,]>());
        }
    }
}

fn one_key(
    input: ParseStream<'_>,
    owner: &str,
    keys: &[&str],
    seen: &mut Vec<String>,
    errors: &mut Errors,
    read: &mut impl FnMut(&str, &Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) -> syn::Result<()> {
    let key = Ident::parse_any(input)
        .map_err(|error| syn::Error::new(error.span(), format!("expected {}", listed(keys))))?;
    let word = key.unraw().to_string();
    if !keys.contains(&word.as_str()) {
        let text = match did_you_mean(&word, keys) {
            Some(meant) => format!("unknown {owner} attribute `{word}`; did you mean `{meant}`?"),
            None => {
                format!("unknown {owner} attribute `{word}`: write {}", listed(keys))
            }
        };
        return Err(syn::Error::new_spanned(&key, text));
    }
    if seen.contains(&word) {
        return Err(syn::Error::new_spanned(&key, format!("`{word}` is given twice: keep one")));
    }
    seen.push(word.clone());
    read(&word, &key, input, errors)
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}
