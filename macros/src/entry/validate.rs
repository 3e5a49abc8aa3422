use proc_macro2::TokenStream;
use syn::{FnArg, ItemFn};

use super::Kind;
use crate::attr::Errors;

/// Whether the function can be wrapped.
pub(super) fn check(
    kind: Kind,
    arguments: &TokenStream,
    function: &ItemFn,
    errors: &mut Errors,
) -> bool {
    let (attribute, name) = match kind {
        Kind::Main => ("#[callboard::main]", "main"),
        Kind::Test => ("#[callboard::test]", "a_test"),
    };
    let signature = &function.sig;
    let mistake = if !arguments.is_empty() {
        let text = match kind {
            Kind::Main => {
                "`#[callboard::main]` takes no settings: write `System::builder()` for them"
            }
            Kind::Test => {
                "`#[callboard::test]` takes no settings: it runs on one thread with a paused \
                 clock; `#[tokio::test]` runs as you say"
            }
        };
        Some((arguments.clone(), text.to_owned()))
    } else if signature.asyncness.is_none() {
        let text = format!("`{attribute}` runs an async function: write `async fn`");
        Some((quote::quote!(#signature).into_iter().take(1).collect(), text))
    } else if !signature.generics.params.is_empty() {
        let generics = &signature.generics;
        let text = format!("nobody calls `{name}` with types: remove the parameters");
        Some((quote::quote!(#generics), text))
    } else if let Some(receiver @ FnArg::Receiver(_)) = signature.inputs.first() {
        let text = format!("`{attribute}` belongs on a function, not on a method");
        Some((quote::quote!(#receiver), text))
    } else {
        signature.inputs.iter().nth(1).map(|second| {
            let given = match kind {
                Kind::Main => "`System`",
                Kind::Test => "`System`, a `TestSystem`",
            };
            let text = format!(
                "`{attribute}` gives a {given} or nothing: write `async fn {name}(system: System)`"
            );
            (quote::quote!(#second), text)
        })
    };
    if let Some((tokens, text)) = &mistake {
        errors.at(tokens, text);
    }
    mistake.is_none()
}
