//! Takes the attributes of the block's methods off and reads them.

use std::time::Duration;

use proc_macro2::Ident;
use syn::{
    Attribute, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta, Signature, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

use super::ROLES;
use crate::attr::{Errors, check_name, did_you_mean, positive_duration};

/// A method with what its attributes say.
pub(super) struct Marked {
    pub(super) signature: Signature,
    /// Its `#[cfg(..)]` attributes, which every generated piece gets too.
    pub(super) cfgs: Vec<Attribute>,
    pub(super) role: Role,
}

/// From where a handler can be called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// From another process when the message can travel.
    Auto,
    Local,
    Remote,
}

pub(super) enum Role {
    Started,
    Stopped,
    Handle { reach: Reach, is_deferred: bool },
    Every(Duration),
    Subscribe(Vec<Topic>),
}

/// What `#[subscribe(..)]` says.
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) each: bool,
}

/// The role that an attribute gives, if it is one of ours.
fn role_of(attribute: &Attribute) -> Option<String> {
    let segments = &attribute.path().segments;
    if segments.len() > 2 {
        return None;
    }
    let word = segments.last()?.ident.unraw().to_string();
    ROLES.contains(&word.as_str()).then_some(word)
}

/// Takes our attributes off the block and gives the methods that had some.
pub(super) fn take(block: &mut ItemImpl, errors: &mut Errors) -> Vec<Marked> {
    let mut marked = Vec::new();
    for item in &mut block.items {
        match item {
            ImplItem::Fn(method) => marked.extend(take_method(method, errors)),
            ImplItem::Const(item) => refuse(&mut item.attrs, errors),
            ImplItem::Type(item) => refuse(&mut item.attrs, errors),
            ImplItem::Macro(item) => refuse(&mut item.attrs, errors),
            _ => {}
        }
    }
    marked
}

fn refuse(attributes: &mut Vec<Attribute>, errors: &mut Errors) {
    attributes.retain(|attribute| {
        let role = role_of(attribute);
        if let Some(role) = &role {
            errors.at(attribute, format!("`#[{role}]` belongs on a method"));
        }
        role.is_none()
    });
}

fn take_method(method: &mut ImplItemFn, errors: &mut Errors) -> Option<Marked> {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        method.attrs.drain(..).partition(|attribute| role_of(attribute).is_some());
    method.attrs = theirs;
    method.attrs.retain(|attribute| {
        !attribute.path().is_ident("cfg_attr") || !refuse_conditional(attribute, errors)
    });
    let mut role = None;
    for attribute in &ours {
        let read = read(attribute);
        let read = errors.take(read);
        join(&mut role, read, attribute, errors);
    }
    let cfgs = method.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let cfgs = cfgs.cloned().collect();
    role.map(|role| Marked { signature: method.sig.clone(), cfgs, role })
}

/// Refuses roles under a condition, if there are any: this macro runs before conditions are looked
/// at.
fn refuse_conditional(attribute: &Attribute, errors: &mut Errors) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let mut is_refused = false;
    for token in list.tokens.clone() {
        let word = token.to_string();
        if ROLES.contains(&word.as_str()) {
            let text = format!(
                "`#[{word}]` can't stand under `cfg_attr`: write the method twice, each with a \
                 `#[cfg(..)]`"
            );
            errors.at(token, text);
            is_refused = true;
        }
    }
    is_refused
}

/// Puts the roles of one method together: several subscriptions are one role, anything else is a
/// mistake.
fn join(role: &mut Option<Role>, next: Option<Role>, attribute: &Attribute, errors: &mut Errors) {
    match (role.as_mut(), next) {
        (_, None) => {}
        (None, next) => *role = next,
        (Some(Role::Subscribe(topics)), Some(Role::Subscribe(more))) => topics.extend(more),
        (Some(Role::Subscribe(_)), Some(Role::Handle { .. }))
        | (Some(Role::Handle { .. }), Some(Role::Subscribe(_))) => {
            let text = "a subscription handles its event already: remove the `#[handle]`";
            errors.at(attribute, text);
        }
        (Some(_), Some(_)) => {
            errors.at(attribute, "this method has a role already: write a second method");
        }
    }
}

fn read(attribute: &Attribute) -> syn::Result<Role> {
    match role_of(attribute).unwrap_or_default().as_str() {
        "handle" => handle(attribute),
        "every" => every(attribute),
        "subscribe" => subscribe(attribute),
        hook => {
            let Meta::Path(_) = attribute.meta else {
                let text = format!("`#[{hook}]` takes no settings");
                return Err(syn::Error::new_spanned(attribute, text));
            };
            Ok(if hook == "started" { Role::Started } else { Role::Stopped })
        }
    }
}

fn handle(attribute: &Attribute) -> syn::Result<Role> {
    const WORDS: &[&str] = &["local", "remote", "defer"];
    let (mut reach, mut is_deferred) = (Reach::Auto, false);
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            let word = Ident::parse_any(input).map_err(|error| {
                let text = "`#[handle]` takes `local`, `remote` or `defer`";
                syn::Error::new(error.span(), text)
            })?;
            match word.to_string().as_str() {
                "local" | "remote" if reach != Reach::Auto => {
                    let text = "a handler is either `local` or `remote`: keep one";
                    return Err(syn::Error::new_spanned(word, text));
                }
                "local" => reach = Reach::Local,
                "remote" => reach = Reach::Remote,
                "defer" => is_deferred = true,
                other => {
                    let text = match did_you_mean(other, WORDS) {
                        Some(meant) => {
                            format!("unknown handle attribute `{other}`; did you mean `{meant}`?")
                        }
                        None => format!(
                            "unknown handle attribute `{other}`; there are `local`, `remote` and \
                             `defer`"
                        ),
                    };
                    return Err(syn::Error::new_spanned(word, text));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    };
    match &attribute.meta {
        Meta::Path(_) => {}
        Meta::List(list) => parser.parse2(list.tokens.clone())?,
        Meta::NameValue(_) => {
            let text = "write `#[handle]`, or `#[handle(local)]`, `(remote)` or `(defer)`";
            return Err(syn::Error::new_spanned(attribute, text));
        }
    }
    Ok(Role::Handle { reach, is_deferred })
}

fn every(attribute: &Attribute) -> syn::Result<Role> {
    let how = "write how often as a text: `#[every(\"30s\")]`";
    let Meta::List(list) = &attribute.meta else {
        return Err(syn::Error::new_spanned(attribute, how));
    };
    let literal: LitStr =
        syn::parse2(list.tokens.clone()).map_err(|_| syn::Error::new_spanned(attribute, how))?;
    positive_duration(&literal).map(Role::Every)
}

fn subscribe(attribute: &Attribute) -> syn::Result<Role> {
    let how = "write the topic as a text: `#[subscribe(\"orders.placed\")]`, with `, each` behind it \
               when every instance shall get a copy";
    let Meta::List(list) = &attribute.meta else {
        return Err(syn::Error::new_spanned(attribute, how));
    };
    let parser = |input: ParseStream<'_>| {
        let topic: LitStr = input.parse()?;
        let mut each = false;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        if !input.is_empty() {
            let word = input.call(Ident::parse_any)?;
            each = word == "each" && input.is_empty();
            if !each {
                return Err(syn::Error::new_spanned(word, how));
            }
        }
        Ok((topic, each))
    };
    let (topic, each) =
        parser.parse2(list.tokens.clone()).map_err(|_| syn::Error::new_spanned(attribute, how))?;
    check_name(&topic.value(), topic.span())?;
    Ok(Role::Subscribe(vec![Topic { name: topic.value(), each }]))
}
