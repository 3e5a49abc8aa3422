use std::time::Duration;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::{Attribute, Generics, ItemImpl, ReturnType, Type, ext::IdentExt, spanned::Spanned};

use super::{
    attr::{Marked, Reach, Role, Topic},
    params::{self, Parameter},
};
use crate::attr::Errors;

/// What every method of the block has.
pub(super) struct Method {
    pub(super) ident: Ident,
    pub(super) cfgs: Vec<Attribute>,
    pub(super) is_async: bool,
    /// The parameters behind `self`, each with the place of its type.
    pub(super) parameters: Vec<(Parameter, Span)>,
    pub(super) output: ReturnType,
    /// Its own parameters; a handler has lifetimes at most.
    pub(super) generics: Generics,
}

/// A method that handles a message.
pub(super) struct Handler {
    pub(super) method: Method,
    /// With `Self` written out, so that it means the same in the enum of messages.
    pub(super) message: Type,
    pub(super) message_span: Span,
    pub(super) reach: Reach,
    pub(super) is_deferred: bool,
    pub(super) topics: Vec<Topic>,
    /// The message's type names a parameter of the actor's type.
    pub(super) names_parameter: bool,
    /// Has a mistake that was shown: the message is handled, and nothing more is generated.
    pub(super) is_broken: bool,
}

/// The block.
pub(super) struct Model {
    /// The type of the actor.
    pub(super) actor: TokenStream,
    pub(super) generics: Generics,
    /// The enum of its messages.
    pub(super) inbox: Ident,
    pub(super) handlers: Vec<Handler>,
    pub(super) ticks: Vec<(Method, Duration)>,
    pub(super) started: Vec<Method>,
    pub(super) stopped: Vec<Method>,
}

impl Model {
    /// Sorts the methods by their roles. Those with a mistake in their parameters are left out, but
    /// for what their message needs.
    pub(super) fn new(block: &ItemImpl, methods: Vec<Marked>, errors: &mut Errors) -> Self {
        let actor = block.self_ty.to_token_stream();
        let generics = written_out(&block.generics, &actor);
        let mut model = Self {
            inbox: inbox_name(&block.self_ty),
            handlers: Vec::new(),
            ticks: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            generics: generics.unwrap_or_else(|| block.generics.clone()),
            actor,
        };
        for marked in methods {
            model.add(marked, errors);
        }
        model
    }

    fn add(&mut self, marked: Marked, errors: &mut Errors) {
        let Marked { signature, cfgs, role } = marked;
        let read = params::read(&signature, &role, errors);
        let spans = signature.inputs.iter().skip(1).map(Spanned::span);
        let method = Method {
            ident: signature.ident,
            cfgs,
            is_async: signature.asyncness.is_some(),
            parameters: read.order.iter().copied().zip(spans).collect(),
            output: signature.output,
            generics: signature.generics,
        };
        let (reach, is_deferred, topics) = match role {
            Role::Handle { reach, is_deferred } => (reach, is_deferred, Vec::new()),
            Role::Subscribe(topics) => (Reach::Remote, false, topics),
            _ if !read.is_good => return,
            Role::Every(period) => return self.ticks.push((method, period)),
            Role::Started => return self.started.push(method),
            Role::Stopped => return self.stopped.push(method),
        };
        let Some(message) = read.message else { return };
        if !read.is_good && matches!(message, Type::ImplTrait(_)) {
            return;
        }
        self.handlers.push(Handler {
            method,
            message_span: message.span(),
            names_parameter: names_parameter(&message, &self.generics),
            message: written_out(&message, &self.actor).unwrap_or(message),
            reach,
            is_deferred,
            topics,
            is_broken: !read.is_good,
        });
    }

    /// The handlers for which everything is generated.
    pub(super) fn sound(&self) -> impl Iterator<Item = &Handler> {
        self.handlers.iter().filter(|handler| !handler.is_broken)
    }
}

/// `__CounterInbox` for `Counter`.
fn inbox_name(actor: &Type) -> Ident {
    let name = match actor {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.unraw()),
        _ => None,
    };
    name.map_or_else(|| format_ident!("__Inbox"), |name| format_ident!("__{}Inbox", name))
}

/// The same with the actor's type where it says `Self`.
fn written_out<T: ToTokens + WithSelf>(tokens: &T, actor: &TokenStream) -> Option<T> {
    T::rebuild(tokens, &|tokens| replace_self(tokens, actor))
}

/// What may say `Self` and can be built again from its tokens.
trait WithSelf: Sized {
    fn rebuild(&self, replace: &dyn Fn(TokenStream) -> TokenStream) -> Option<Self>;
}

impl WithSelf for Type {
    fn rebuild(&self, replace: &dyn Fn(TokenStream) -> TokenStream) -> Option<Self> {
        syn::parse2(replace(self.to_token_stream())).ok()
    }
}

impl WithSelf for Generics {
    fn rebuild(&self, replace: &dyn Fn(TokenStream) -> TokenStream) -> Option<Self> {
        let mut generics: Self = syn::parse2(replace(self.to_token_stream())).ok()?;
        if let Some(clause) = &self.where_clause {
            generics.where_clause = syn::parse2(replace(clause.to_token_stream())).ok();
        }
        Some(generics)
    }
}

fn replace_self(tokens: TokenStream, actor: &TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => actor.clone(),
            TokenTree::Group(group) => {
                let mut replaced =
                    Group::new(group.delimiter(), replace_self(group.stream(), actor));
                replaced.set_span(group.span());
                TokenTree::Group(replaced).into()
            }
            token => token.into(),
        })
        .collect()
}

fn names_parameter(message: &Type, generics: &Generics) -> bool {
    let types = generics.type_params().map(|parameter| &parameter.ident);
    let consts = generics.const_params().map(|parameter| &parameter.ident);
    let parameters: Vec<&Ident> = types.chain(consts).collect();
    let is_generic = !parameters.is_empty();
    mentions(message.to_token_stream(), &|ident| {
        parameters.contains(&ident) || (is_generic && ident == "Self")
    })
}

fn mentions(tokens: TokenStream, is_one: &dyn Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => is_one(&ident),
        TokenTree::Group(group) => mentions(group.stream(), is_one),
        _ => false,
    })
}
