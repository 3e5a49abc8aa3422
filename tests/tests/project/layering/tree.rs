//! The modules of a crate with the paths that their code names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Expr, ExprLit, Item, ItemMod, ItemUse, Lit, Macro, Meta, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::source::{self, Token, flatten, lines_with};

/// Segments of a path from the root of the crate.
pub(super) type ModulePath = Vec<String>;

/// A path that some code names, from the root of the crate.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: ModulePath,
    pub(super) line: usize,
}

/// One module: its file, what it names, and the names that `use` brings into it.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) imports: Vec<Import>,
    /// Name in this module -> what it stands for.
    re_exports: BTreeMap<String, ModulePath>,
    children: BTreeSet<String>,
}

/// A whole crate.
#[derive(Debug)]
pub(super) struct Tree {
    modules: BTreeMap<ModulePath, Module>,
    /// All files, those that exist only under `cfg(test)` too.
    files: BTreeSet<PathBuf>,
    exported_macros: BTreeMap<String, ModulePath>,
}

impl Tree {
    /// Reads a crate from its root file on, along its `mod` declarations.
    pub(super) fn read(root: &Path) -> Self {
        Self::build(root, &mut |path| path.is_file().then(|| source::read(path)))
    }

    /// A crate of texts, by their paths below `src`.
    pub(super) fn of_sample(files: &[(&str, &str)]) -> Self {
        let folder = source::root().join("src");
        let texts: BTreeMap<_, _> =
            files.iter().map(|(path, text)| (folder.join(path), (*text).to_owned())).collect();
        Self::build(&folder.join("lib.rs"), &mut |path| texts.get(path).cloned())
    }

    fn build(root: &Path, load: &mut dyn FnMut(&Path) -> Option<String>) -> Self {
        let mut tree = Self {
            modules: BTreeMap::new(),
            files: BTreeSet::new(),
            exported_macros: BTreeMap::new(),
        };
        let text = load(root).expect("the crate has a root");
        let folder = root.parent().expect("a file lies in a folder").to_path_buf();
        tree.file(Vec::new(), root, folder, &text, false, load);
        tree
    }

    pub(super) fn modules(&self) -> &BTreeMap<ModulePath, Module> {
        &self.modules
    }

    pub(super) fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// The module that a path leads to, through re-exports; `None` when the first name is neither
    /// a module nor re-exported at the root.
    pub(super) fn target(&self, path: &[String]) -> Option<ModulePath> {
        let mut path = path.to_vec();
        // Each round follows one re-export; a loop of them does not compile.
        for _ in 0..16 {
            let mut at = ModulePath::new();
            let mut rest = path.iter();
            let next = loop {
                let module = &self.modules[&at];
                let Some(name) = rest.next() else { return Some(at) };
                if module.children.contains(name) {
                    at.push(name.clone());
                    if !self.modules.contains_key(&at) {
                        return None; // exists under cfg(test) only
                    }
                } else if let Some(stands_for) = module.re_exports.get(name) {
                    break stands_for.iter().chain(rest).cloned().collect();
                } else if at.is_empty() {
                    return self.exported_macros.get(name).cloned();
                } else {
                    return Some(at);
                }
            };
            path = next;
        }
        None
    }

    fn file(
        &mut self,
        path: ModulePath,
        file: &Path,
        folder: PathBuf,
        text: &str,
        exempt: bool,
        load: &mut dyn FnMut(&Path) -> Option<String>,
    ) {
        self.files.insert(file.to_path_buf());
        let parsed =
            syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.module(path, file, &folder, &parsed.items, exempt, load);
    }

    fn module(
        &mut self,
        path: ModulePath,
        file: &Path,
        folder: &Path,
        items: &[Item],
        exempt: bool,
        load: &mut dyn FnMut(&Path) -> Option<String>,
    ) {
        let declared: Vec<&ItemMod> = items
            .iter()
            .filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None })
            .collect();
        let children = declared.iter().map(|module| module.ident.to_string()).collect();
        let mut reader =
            Reader { path: &path, children, imports: Vec::new(), re_exports: BTreeMap::new() };
        for item in items {
            reader.visit_item(item);
            if let Some(name) = exported_macro(item) {
                self.exported_macros.insert(name, path.clone());
            }
        }
        let Reader { children, imports, re_exports, .. } = reader;
        if !exempt {
            let file = file.to_path_buf();
            self.modules.insert(path.clone(), Module { file, imports, re_exports, children });
        }
        for module in declared {
            let name = module.ident.to_string();
            let mut path = path.clone();
            path.push(name.clone());
            let exempt = exempt || only_in_tests(&module.attrs);
            let inner_folder = folder.join(&name);
            if let Some((_, items)) = &module.content {
                self.module(path, file, &inner_folder, items, exempt, load);
                continue;
            }
            let candidates = match explicit_path(&module.attrs) {
                Some(explicit) => vec![file.with_file_name(explicit)],
                None => vec![folder.join(format!("{name}.rs")), inner_folder.join("mod.rs")],
            };
            let found = candidates.iter().find_map(|file| Some((file, load(file)?)));
            let Some((file, text)) = found else {
                panic!("{}: no file for `mod {name}`", file.display())
            };
            self.file(path, file, inner_folder, &text, exempt, load);
        }
    }
}

/// What `#[path = ".."]` says.
fn explicit_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

fn exported_macro(item: &Item) -> Option<String> {
    let Item::Macro(item) = item else { return None };
    let exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
    if exported { item.ident.as_ref().map(ToString::to_string) } else { None }
}

/// Whether a `cfg` lets the item exist in tests only: `test`, or `all(.., test, ..)`.
fn only_in_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let tokens = flatten(list.tokens.clone());
            let first = tokens.first().map(|token| token.text.as_str());
            let no_other = ["not", "any"].iter().all(|n| lines_with(&tokens, &[n]).is_empty());
            let test = !lines_with(&tokens, &["test"]).is_empty()
                || !lines_with(&tokens, &["doctest"]).is_empty();
            test && no_other && matches!(first, Some("test" | "doctest" | "all"))
        }
        _ => false,
    })
}

/// Collects the paths that one module names; modules within it are read by themselves.
struct Reader<'a> {
    path: &'a ModulePath,
    children: BTreeSet<String>,
    imports: Vec<Import>,
    re_exports: BTreeMap<String, ModulePath>,
}

impl Reader<'_> {
    /// The path from the root of the crate, or `None` when it leads out of the crate.
    fn absolute(&self, segments: &[String]) -> Option<ModulePath> {
        let mut base = self.path.clone();
        let mut rest = segments;
        match rest.first().map(String::as_str)? {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            child if self.children.contains(child) => {}
            _ => return None,
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn import(&mut self, segments: &[String], line: usize) {
        if let Some(path) = self.absolute(segments) {
            self.imports.push(Import { path, line });
        }
    }

    fn tokens(&mut self, tokens: &[Token]) {
        let mut at = 0;
        while at < tokens.len() {
            let line = tokens[at].line;
            let start = at;
            at += 1;
            if !matches!(tokens[start].text.as_str(), "crate" | "super" | "self") {
                continue;
            }
            let mut segments = vec![tokens[start].text.clone()];
            while let [first, second, name, ..] = &tokens[at..]
                && first.text == ":"
                && second.text == ":"
                && name.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
            {
                segments.push(name.text.clone());
                at += 3;
            }
            if segments.len() > 1 {
                self.import(&segments, line);
            }
        }
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let line = tree.span().start().line;
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        let (segments, name) = match tree {
            UseTree::Path(path) => {
                return self.use_tree(&path.tree, &with(path.ident.to_string()));
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|t| self.use_tree(t, prefix));
            }
            UseTree::Glob(_) => (prefix.to_vec(), None),
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.to_vec(), prefix.last().cloned())
            }
            UseTree::Name(name) => (with(name.ident.to_string()), Some(name.ident.to_string())),
            UseTree::Rename(rename) => {
                (with(rename.ident.to_string()), Some(rename.rename.to_string()))
            }
        };
        self.import(&segments, line);
        if let (Some(name), Some(path)) = (name, self.absolute(&segments)) {
            self.re_exports.insert(name, path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !only_in_tests(attributes(item)) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A private `use` too: modules within this one reach its names by `super`.
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 && path.leading_colon.is_none() {
            self.import(&segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.tokens(&flatten(item.tokens.clone()));
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.visit_path(attribute.path());
        if let Meta::List(list) = &attribute.meta {
            self.tokens(&flatten(list.tokens.clone()));
        }
    }

    // A visibility is not an import: `pub(in crate::bus)`.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
