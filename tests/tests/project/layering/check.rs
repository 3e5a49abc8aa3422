//! Compares what modules name with the layers on which they stand.

use super::{
    LAYERS, PORTS,
    tree::{Import, ModulePath, Tree},
};
use crate::source::shown;

/// The layer of a module, or `None` when it is not listed.
pub(super) fn layer_of(path: &[String]) -> Option<u8> {
    (1..=path.len()).rev().find_map(|length| {
        let prefix = path[..length].join("::");
        LAYERS.iter().find(|(_, names)| names.contains(&prefix.as_str())).map(|(layer, _)| *layer)
    })
}

/// What is wrong, a line each.
pub(super) fn violations(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in tree.modules() {
        // The root puts the modules together.
        if path.is_empty() {
            continue;
        }
        let Some(layer) = layer_of(path) else {
            if path.len() == 1 {
                found.push(format!(
                    "the module `{}` has no layer: add it to LAYERS in \
                     tests/tests/project/layering, to the lowest that can reach what it needs",
                    path[0]
                ));
            }
            continue;
        };
        for import in &module.imports {
            if let Some(reason) = objection(tree, path, layer, import) {
                let file = shown(&module.file);
                let named = import.path.join("::");
                found.push(format!("{file}:{}: `crate::{named}` {reason}", import.line));
            }
        }
    }
    found
}

/// Why a module on this layer must not name this, if so.
fn objection(tree: &Tree, from: &ModulePath, layer: u8, import: &Import) -> Option<String> {
    let Some(target) = tree.target(&import.path) else {
        return Some("is neither a module nor re-exported at the root, so it has no layer".into());
    };
    if target.is_empty() {
        return None; // `super::*` of a module at the top: the root defines nothing itself
    }
    let aim = layer_of(&target)?;
    let here = from.join("::");
    let there = target.join("::");
    if aim > layer {
        return Some(format!(
            "imports upward: `{here}` is on layer {layer}, `{there}` on layer {aim}"
        ));
    }
    let same_port = from.first() == target.first();
    // The words of the other port are vocabulary for the layers above, not for this one.
    let other_port = !same_port && layer_of(&target[..1]) == Some(PORTS);
    if layer == PORTS && !same_port && (aim != 0 || other_port) {
        return Some(format!(
            "is not for `{here}`: a port and its adapters see layer 0 and themselves, \
             not `{there}` (layer {aim})"
        ));
    }
    None
}
