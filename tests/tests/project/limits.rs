//! The book's page of limits and defaults says what the code does.
//!
//! Its tables stand between comments and are made here of the code's constants and defaults. When a
//! test fails it says what the table must be.

use std::{fmt::Write as _, time::Duration};

use callboard::{
    DELAY_MAX, Incarnation, NAME_BYTES_MAX, Name,
    bus::{
        BusLimits,
        codec::{BODY_BYTES_MAX, BYTELESS_ELEMENTS_MAX, DEPTH_MAX},
    },
    directory::{
        CAPABILITIES_MAX, CONFIG_BYTES_MAX, CONFIG_HISTORY_MAX, DEDUP_WINDOW_MS_BOUNDS, Directory,
        DirectoryError, DirectoryOptions, HEALTH_REASON_BYTES_MAX, LABEL_KEY_BYTES_MAX,
        LABEL_VALUE_BYTES_MAX, LABELS_MAX, METADATA_BYTES_MAX, Mode, RETAIN_ENTRIES_MAX,
        RETAIN_MAX, RETAIN_MIN, ServiceDef, WEIGHT_MAX,
    },
    kv::{
        EmbeddedKv, EmbeddedKvOptions, KEY_BYTES_MAX, LEASE_TTL_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX,
    },
    letters::{
        LETTERS_PER_PAGE_MAX, RECORDING_BYTES_MAX, REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX,
        SELECTION_IDS_MAX,
    },
    log::DEDUP_ID_BYTES_MAX,
};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::source::{read, root};

const PAGE: &str = "book/src/reference/limits.md";

/// The shortest time that is more than none.
const SOME: Duration = Duration::from_nanos(1);

/// A duration among the options of a directory, with what it may be.
struct Time {
    name: &'static str,
    of: fn(&mut DirectoryOptions) -> &mut Duration,
    least: Duration,
}

const TIMES: [Time; 8] = [
    Time { name: "lease_ttl", of: |o| &mut o.lease_ttl, least: Duration::from_secs(5) },
    Time { name: "call_timeout", of: |o| &mut o.call_timeout, least: SOME },
    Time { name: "backoff_max", of: |o| &mut o.backoff_max, least: SOME },
    Time { name: "verify_every", of: |o| &mut o.verify_every, least: SOME },
    Time { name: "probe_every", of: |o| &mut o.probe_every, least: SOME },
    // More than `probe_every`, whose default it is compared with.
    Time {
        name: "silence_max",
        of: |o| &mut o.silence_max,
        least: Duration::from_nanos(1_000_000_001),
    },
    Time { name: "audit_every", of: |o| &mut o.audit_every, least: SOME },
    Time { name: "patience", of: |o| &mut o.patience, least: SOME },
];

/// A count among the options of a directory.
struct Count {
    name: &'static str,
    of: fn(&mut DirectoryOptions) -> &mut usize,
    most: usize,
}

const COUNTS: [Count; 2] = [
    Count { name: "page_keys", of: |o| &mut o.page_keys, most: usize::MAX },
    Count { name: "events_max", of: |o| &mut o.events_max, most: 1 << 20 },
];

/// The largest number of partitions.
const PARTITIONS_MAX: u32 = 65_536;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn options() -> DirectoryOptions {
    DirectoryOptions::new(name("c"), name("n"), Incarnation::fresh())
}

/// A number with its thousands apart.
fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown
}

fn bytes(bytes: usize) -> String {
    match bytes {
        kib if kib >= 1024 && kib.is_multiple_of(1024) && kib < 1 << 20 => {
            format!("{} KiB", kib / 1024)
        }
        mib if mib >= 1 << 20 && mib.is_multiple_of(1 << 20) => format!("{} MiB", mib >> 20),
        other => format!("{} bytes", number(other)),
    }
}

fn time(time: Duration) -> String {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    match time.as_secs() {
        _ if time == year => "a year".to_owned(),
        minutes if minutes >= 60 && minutes.is_multiple_of(60) => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}

fn bounds(time_of: &Time) -> String {
    let most = time(LEASE_TTL_MAX);
    match time_of.name {
        "silence_max" => format!("more than `probe_every`, at most {most}"),
        _ if time_of.least == SOME => format!("more than 0, at most {most}"),
        _ => format!("{} to {most}", time(time_of.least)),
    }
}

fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = String::new();
    writeln!(table, "| {} |", header.join(" | ")).expect("a string takes it");
    writeln!(table, "|{}", "---|".repeat(header.len())).expect("a string takes it");
    for row in rows {
        writeln!(table, "| {} |", row.join(" | ")).expect("a string takes it");
    }
    table
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn directory() -> String {
    let mut options = options();
    let times = TIMES.map(|setting| {
        let default = time(*(setting.of)(&mut options));
        row([&format!("`{}`", setting.name), &default, &bounds(&setting)])
    });
    let counts = COUNTS.map(|setting| {
        let default = number(*(setting.of)(&mut options));
        let bounds = match setting.most {
            usize::MAX => "1 or more".to_owned(),
            most => format!("1 to {}", number(most)),
        };
        row([&format!("`{}`", setting.name), &default, &bounds])
    });
    let rows: Vec<_> = times.into_iter().chain(counts).collect();
    table(&["`DirectoryOptions`", "default", "bounds"], &rows)
}

fn records() -> String {
    let window = Duration::from_millis(ServiceDef::default().dedup_window_ms);
    let backlog = usize::try_from(ServiceDef::default().backlog_max).expect("64 bits");
    table(
        &["of a record", "default", "bounds"],
        &[
            row(["a name", "", &format!("at most {}", bytes(NAME_BYTES_MAX))]),
            row(["labels of an instance or a node", "none", &format!("at most {LABELS_MAX}")]),
            row(["key of a label", "", &format!("at most {}", bytes(LABEL_KEY_BYTES_MAX))]),
            row(["value of a label", "", &format!("at most {}", bytes(LABEL_VALUE_BYTES_MAX))]),
            row(["capabilities of an instance", "none", &format!("at most {CAPABILITIES_MAX}")]),
            row([
                "version, capabilities and labels together",
                "",
                &format!("at most {}", bytes(METADATA_BYTES_MAX)),
            ]),
            row(["weight", "1", &format!("0 to {}", number(WEIGHT_MAX as usize))]),
            row([
                "reason of a health",
                "",
                &format!("cut after {}", bytes(HEALTH_REASON_BYTES_MAX)),
            ]),
            row(["`partitions`", "", &format!("1 to {}", number(PARTITIONS_MAX as usize))]),
            row(["`backlog_max`", &number(backlog), "1 or more"]),
            row(["`retain_ms`", "none", &format!("{} to {}", time(RETAIN_MIN), time(RETAIN_MAX))]),
            row([
                "`retain_max`",
                &number(usize::try_from(ServiceDef::default().retain_max).expect("64 bits")),
                &format!("1 to {}", number(usize::try_from(RETAIN_ENTRIES_MAX).expect("64 bits"))),
            ]),
            row(["`dedup_window`", &time(window), "a second to a day"]),
        ],
    )
}

fn letters() -> String {
    let rate = |rate: u32| number(rate as usize);
    table(
        &["of letters", "default", "bounds"],
        &[
            row(["letters of a page", "", &format!("1 to {}", number(LETTERS_PER_PAGE_MAX))]),
            row(["ids of a selection", "", &format!("at most {}", number(SELECTION_IDS_MAX))]),
            row([
                "rate of a replay, in messages per second",
                &rate(REPLAY_RATE_DEFAULT),
                &format!("1 to {}", rate(REPLAY_RATE_MAX)),
            ]),
            row(["a recording", "", &format!("at most {}", bytes(RECORDING_BYTES_MAX))]),
            row(["delay of a message", "", &format!("at most {}", time(DELAY_MAX))]),
        ],
    )
}

fn messages() -> String {
    let limits = BusLimits::default();
    table(
        &["of a message to another process", "default", "bounds"],
        &[
            row(["body", "", &format!("at most {}", bytes(BODY_BYTES_MAX))]),
            row(["depth of a body", "", &format!("at most {DEPTH_MAX} levels")]),
            row([
                "elements of its sequences and maps",
                "",
                &format!("at most one for each byte and {}", number(BYTELESS_ELEMENTS_MAX)),
            ]),
            row(["dedup id", "none", &format!("1 to {DEDUP_ID_BYTES_MAX} bytes")]),
            row(["wait for somebody who knows it", &time(limits.unknown_grace), ""]),
        ],
    )
}

fn configuration() -> String {
    table(
        &["of a configuration", "bounds"],
        &[
            row(["name", &format!("at most {}", bytes(NAME_BYTES_MAX))]),
            row(["value", &format!("at most {} of JSON", bytes(CONFIG_BYTES_MAX))]),
            row(["versions that are kept", &format!("the last {CONFIG_HISTORY_MAX}")]),
        ],
    )
}

fn store() -> String {
    let embedded = EmbeddedKvOptions::default();
    table(
        &["of a store", "default", "bounds"],
        &[
            row(["key", "", &format!("1 to {} bytes", number(KEY_BYTES_MAX))]),
            row(["value", "", &format!("at most {}", bytes(VALUE_BYTES_MAX))]),
            row(["operations in a branch of a transaction", "", &format!("at most {TXN_OPS_MAX}")]),
            row(["lease", "", &format!("more than 0, at most {}", time(LEASE_TTL_MAX))]),
            row([
                "`history_revisions_max` (embedded)",
                &number(embedded.history_revisions_max),
                "1 or more",
            ]),
            row(["`history_bytes_max` (embedded)", &bytes(embedded.history_bytes_max), ""]),
        ],
    )
}

#[cfg(feature = "etcd")]
fn etcd() -> String {
    let options = callboard::kv::EtcdOptions::new(["a:1"]);
    table(
        &["`EtcdOptions`", "default"],
        &[
            row(["`connect_timeout`", &time(options.connect_timeout)]),
            row(["`call_timeout`", &time(options.call_timeout)]),
        ],
    )
}

/// What stands on the page between the comment with this name and the next.
fn shown<'a>(page: &'a str, section: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<!-- {section} -->\n\n"))?;
    Some(rest.split_once("\n<!-- end -->")?.0)
}

#[test]
fn the_tables_of_the_page_are_those_of_the_code() {
    let page = read(&root().join(PAGE));
    let sections = [
        ("directory", directory()),
        ("records", records()),
        ("letters", letters()),
        ("messages", messages()),
        ("configuration", configuration()),
        ("store", store()),
        #[cfg(feature = "etcd")]
        ("etcd", etcd()),
    ];
    let mut wanted = Vec::new();
    for (section, table) in sections {
        if shown(&page, section) != Some(table.as_str()) {
            wanted.push(format!("<!-- {section} -->\n\n{table}"));
        }
    }
    assert!(wanted.is_empty(), "{PAGE} must have:\n{}", wanted.join("\n"));
}

/// Which option is refused, if one is: that is looked at before anything else.
fn refused(options: DirectoryOptions) -> Option<&'static str> {
    let kv = std::sync::Arc::new(EmbeddedKv::new());
    match Directory::start(kv, options, Handle::current()).now_or_never() {
        Some(Err(DirectoryError::Option { option, .. })) => Some(option),
        Some(Err(other)) => panic!("{other:?}"),
        Some(Ok(_)) | None => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_bounds_of_the_options_are_those_of_the_page() {
    for setting in &TIMES {
        let with = |value| {
            let mut options = options();
            *(setting.of)(&mut options) = value;
            if setting.name == "probe_every" {
                options.silence_max = LEASE_TTL_MAX;
            }
            refused(options)
        };
        assert_eq!(with(setting.least), None, "{}", setting.name);
        assert_eq!(with(setting.least - SOME), Some(setting.name));
        assert_eq!(with(LEASE_TTL_MAX + SOME), Some(setting.name));
        // Less than `silence_max`, which can't be longer.
        if setting.name != "probe_every" {
            assert_eq!(with(LEASE_TTL_MAX), None, "{}", setting.name);
        }
    }
    for setting in &COUNTS {
        let with = |value| {
            let mut options = options();
            *(setting.of)(&mut options) = value;
            refused(options)
        };
        assert_eq!((with(1), with(0)), (None, Some(setting.name)));
        if let Some(over) = setting.most.checked_add(1) {
            assert_eq!((with(setting.most), with(over)), (None, Some(setting.name)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_bounds_of_a_definition_are_those_of_the_page() {
    let kv = std::sync::Arc::new(EmbeddedKv::new());
    let directory = Directory::start(kv, options(), Handle::current()).await.expect("it starts");
    let keyed = |partitions| ServiceDef { mode: Mode::Keyed { partitions }, ..Default::default() };
    let most = ServiceDef { backlog_max: u64::MAX, ..Default::default() };
    let retains = |time: Duration, retain_max| {
        let retain_ms = Some(u64::try_from(time.as_millis()).expect("64 bits"));
        ServiceDef { retain_ms, retain_max, ..Default::default() }
    };
    let kept = [retains(RETAIN_MIN, 1), retains(RETAIN_MAX, RETAIN_ENTRIES_MAX)];
    for good in [keyed(1), keyed(PARTITIONS_MAX), most].into_iter().chain(kept) {
        directory.redefine(&name("s"), good).await.expect("within the bounds");
    }
    let none = ServiceDef { backlog_max: 0, ..Default::default() };
    let moment = Duration::from_millis(1);
    let kept = [
        retains(RETAIN_MIN - moment, 1),
        retains(RETAIN_MAX + moment, 1),
        retains(RETAIN_MIN, 0),
        retains(RETAIN_MIN, RETAIN_ENTRIES_MAX + 1),
    ];
    let remembered = |dedup_window_ms| ServiceDef { dedup_window_ms, ..Default::default() };
    let (shortest, longest) = DEDUP_WINDOW_MS_BOUNDS;
    for good in [shortest, longest].map(remembered) {
        directory.redefine(&name("s"), good).await.expect("within the bounds");
    }
    let [short, long] = [shortest - 1, longest + 1].map(remembered);
    let others = [keyed(0), keyed(PARTITIONS_MAX + 1), none, short, long];
    for bad in others.into_iter().chain(kept) {
        let error = directory.redefine(&name("s"), bad).await.expect_err("out of bounds");
        assert!(matches!(error, DirectoryError::Record(_)), "{error:?}");
    }
}

#[test]
fn another_value_on_the_page_is_caught() {
    let page = "# Limits\n<!-- directory -->\n\n| a | 1 |\n\n<!-- end -->\n<!-- store -->\n\n";
    assert_eq!(shown(page, "directory"), Some("| a | 1 |\n"));
    assert_eq!((shown(page, "store"), shown(page, "etcd")), (None, None));
    assert_eq!(number(1_048_576), "1 048 576");
    assert_eq!(
        (bytes(65_536), bytes(64 << 20), bytes(300)),
        ("64 KiB".into(), "64 MiB".into(), "300 bytes".into())
    );
}
