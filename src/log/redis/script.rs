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
