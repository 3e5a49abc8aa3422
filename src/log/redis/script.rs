//! The scripts. Each is one atomic step; what they share stands before each of them.
//!
//! All but the two appends may run when the server is out of memory: they free some, or record that
//! something ended.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($name:ident: $flags:literal [$($part:literal)*];)*) => {
        /// The name of a script.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Name { $($name),* }

        static SCRIPTS: LazyLock<Vec<Script>> = LazyLock::new(|| {
            vec![$(Script::new(concat!(
                "#!lua", $flags, "\n", include_str!("scripts/lib.lua"),
                $(include_str!(concat!("scripts/", $part, ".lua"))),*
            ))),*]
        });
    };
}

scripts! {
    Append: "" ["lane" "append"];
    AppendDelayed: "" ["lane" "append_delayed"];
    Adopt: " flags=allow-oom" ["owner" "adopt"];
    Open: " flags=allow-oom" ["open"];
    Group: " flags=allow-oom" ["group"];
    RemoveGroup: " flags=allow-oom" ["remove_group"];
    PendingOf: " flags=no-writes,allow-oom" ["pending_of"];
    Progress: " flags=allow-oom" ["owner" "progress"];
    Recorded: " flags=no-writes,allow-oom" ["recorded"];
    Touch: " flags=allow-oom" ["owner" "touch"];
    Settle: " flags=allow-oom" ["owner" "settle"];
    Bury: " flags=allow-oom" ["owner" "bury"];
    BuryEntry: " flags=allow-oom" ["owner" "bury_entry"];
    Letter: " flags=allow-oom" ["letter"];
    Postpone: " flags=allow-oom" ["owner" "postpone"];
    CancelDelayed: " flags=allow-oom" ["cancel_delayed"];
    Due: " flags=allow-oom" ["due"];
    Claim: " flags=allow-oom" ["claim"];
    RemoveConsumer: " flags=allow-oom" ["remove_consumer"];
    ForgetProducer: " flags=allow-oom" ["forget_producer"];
    Fence: " flags=allow-oom" ["fence"];
    Replay: " flags=allow-oom" ["replay"];
    ReplayInto: " flags=allow-oom" ["replay_into"];
    There: " flags=no-writes,allow-oom" ["there"];
    Info: " flags=no-writes,allow-oom" ["info"];
    Delete: " flags=allow-oom" ["delete"];
}

impl Name {
    pub(super) fn hash(self) -> &'static str {
        SCRIPTS[self as usize].get_hash()
    }
}

pub(super) fn all() -> &'static [Script] {
    &SCRIPTS
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The script by which producers in other languages append stands in the book, with its hash.
    /// After a change that is meant, run this once with `CALLBOARD_PIN=1`.
    #[test]
    fn the_append_of_the_book_is_the_one_that_is_loaded() {
        let parts = [
            "#!lua\n",
            include_str!("scripts/lib.lua"),
            include_str!("scripts/lane.lua"),
            include_str!("scripts/append.lua"),
        ];
        let text = parts.concat();
        assert_eq!(Script::new(&text).get_hash(), Name::Append.hash());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/reference");
        if std::env::var_os("CALLBOARD_PIN").is_some() {
            fs::write(folder.join("append.lua"), &text).unwrap();
        }
        assert!(fs::read_to_string(folder.join("append.lua")).unwrap() == text, "append.lua");
        let chapter = fs::read_to_string(folder.join("wire-format.md")).unwrap();
        assert!(chapter.contains(Name::Append.hash()), "its hash is {}", Name::Append.hash());
    }
}
