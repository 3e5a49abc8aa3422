//! What an operator should hear of a server's configuration. Pure.

/// Something to be changed, or to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Advice {
    /// Messages that were acknowledged can be lost by it.
    Warning(String),
    /// It may be as it is meant to be.
    Note(String),
}

/// Reads an answer to `INFO`. What a server does not tell is not advised on.
pub(super) fn advice(info: &str) -> Vec<Advice> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let mut advice = Vec::new();
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        advice.push(Advice::Warning(format!(
            "Redis evicts keys when its memory is full (maxmemory-policy {policy}), and with them \
             messages that it has acknowledged: say `CONFIG SET maxmemory-policy noeviction`, and the \
             same in redis.conf"
        )));
    }
    if field("role") == Some("slave") {
        advice.push(Advice::Warning(
            "this Redis is a replica and takes no writes: give the address of the master"
                .to_owned(),
        ));
    }
    if field("maxmemory") == Some("0") {
        advice.push(Advice::Note(
            "Redis has no limit of memory (maxmemory 0): when the machine has none left Redis is \
             killed, where with a limit it would refuse what is sent until consumers have drained it"
                .to_owned(),
        ));
    }
    if field("aof_enabled") == Some("0") {
        advice.push(Advice::Note(
            "Redis keeps no append-only file: what it acknowledged since its last snapshot, if it \
             makes any, is gone when it stops; say `CONFIG SET appendonly yes`, and the same in \
             redis.conf, if messages are to outlive it"
                .to_owned(),
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Memory\r\nmaxmemory:1073741824\r\nmaxmemory_policy:noeviction\r\n\
                        # Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\n";

    #[test]
    fn a_server_that_is_set_up_well_is_left_alone() {
        assert_eq!(advice(GOOD), []);
        assert_eq!(advice(""), [], "nothing is guessed");
    }

    #[test]
    fn each_advice_says_what_to_do() {
        for (good, bad, said, is_warning) in [
            ("noeviction", "allkeys-lru", "maxmemory-policy noeviction", true),
            ("noeviction", "volatile-ttl", "maxmemory-policy noeviction", true),
            ("role:master", "role:slave", "address of the master", true),
            ("maxmemory:1073741824", "maxmemory:0", "maxmemory", false),
            ("aof_enabled:1", "aof_enabled:0", "appendonly yes", false),
        ] {
            let found = advice(&GOOD.replace(good, bad));
            let [one] = &found[..] else { panic!("{bad}: {found:?}") };
            let (Advice::Warning(text) | Advice::Note(text)) = one;
            assert!(text.contains(said), "{text}");
            assert_eq!(matches!(one, Advice::Warning(_)), is_warning, "{text}");
        }
    }
}
