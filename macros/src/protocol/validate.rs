use quote::ToTokens;
use syn::Type;

use super::model::Protocol;
use crate::attr::Errors;

/// The messages, each once.
pub(super) fn distinct<'a>(protocol: &'a Protocol, errors: &mut Errors) -> Vec<&'a Type> {
    let mut seen = Vec::new();
    let mut distinct = Vec::new();
    for message in &protocol.messages {
        let printed = message.to_token_stream().to_string();
        if seen.contains(&printed) {
            errors.at(message, "this message is listed twice: keep one");
        } else {
            seen.push(printed);
            distinct.push(message);
        }
    }
    distinct
}
