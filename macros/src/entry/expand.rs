use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

use super::Kind;
use crate::paths::Paths;

/// The function with a plain one round it, so that what it returns and takes keeps its place.
pub(super) fn expand(kind: Kind, function: &ItemFn) -> TokenStream {
    let Paths { private, std } = Paths::new();
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let (ident, output) = (&sig.ident, &sig.output);
    let run = match (kind, sig.inputs.is_empty()) {
        (Kind::Main, true) => quote!(run_main),
        (Kind::Main, false) => quote!(run_main_with_system),
        (Kind::Test, true) => quote!(run_test),
        (Kind::Test, false) => quote!(run_test_with_system),
    };
    let test = (kind == Kind::Test).then(|| quote!(#[#std::prelude::v1::test]));
    quote! {
        #test
        #(#attrs)*
        #vis fn #ident() #output {
            #sig #block
            #private::#run(#ident)
        }
    }
}
