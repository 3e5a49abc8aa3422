//! How much a run tests: what `tests/run` and `tests/run --long` say by environment variables.

use std::{env, fs, path::Path, sync::OnceLock};

/// Trials of each fault test without `CALLBOARD_TRIALS`.
const TRIALS_DEFAULT: u32 = 5;

/// How often a fault test repeats: `CALLBOARD_TRIALS`, or 5.
///
/// # Panics
/// When the variable is set to something else than a number above 0.
pub fn trials() -> u32 {
    parse_trials(env::var("CALLBOARD_TRIALS").ok().as_deref())
}

/// The seed of this process's randomised tests: `CALLBOARD_SEED`, or a fresh one. Printed once, so
/// that the output of a failed test says how to repeat it.
///
/// # Panics
/// When the variable is set to something else than a number of 64 bits.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = parse_seed(env::var("CALLBOARD_SEED").ok().as_deref());
        eprintln!("repeat with CALLBOARD_SEED={seed}");
        seed
    })
}

/// Adds a section to the figures that `tests/run --long` writes for the book; does nothing in
/// other runs. The text is Markdown below a heading with this title.
///
/// # Panics
/// When the file cannot be written.
pub fn record_figure(title: &str, markdown: &str) {
    if let Some(folder) = env::var_os("CALLBOARD_FIGURES") {
        write_figure(Path::new(&folder), title, markdown);
    }
}

fn parse_trials(text: Option<&str>) -> u32 {
    let Some(text) = text else { return TRIALS_DEFAULT };
    match text.parse() {
        Ok(trials) if trials > 0 => trials,
        _ => panic!("CALLBOARD_TRIALS={text:?}: write a number above 0"),
    }
}

fn parse_seed(text: Option<&str>) -> u64 {
    match text {
        Some(text) => text
            .parse()
            .unwrap_or_else(|error| panic!("CALLBOARD_SEED={text:?}: {error}; write a number")),
        None => fresh_seed(),
    }
}

// The standard library seeds its hash maps from the system's randomness.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn write_figure(folder: &Path, title: &str, markdown: &str) {
    let name: String = title
        .chars()
        .map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let path = folder.join(name).with_extension("md");
    fs::write(&path, format!("## {title}\n\n{}\n", markdown.trim()))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_and_seed_are_read_from_text() {
        assert_eq!(parse_trials(None), TRIALS_DEFAULT);
        assert_eq!(parse_trials(Some("200")), 200);
        assert_eq!(parse_seed(Some("18446744073709551615")), u64::MAX);
        assert_ne!(parse_seed(None), parse_seed(None));
    }

    #[test]
    #[should_panic(expected = "write a number above 0")]
    fn no_trials_at_all_are_refused() {
        parse_trials(Some("0"));
    }

    #[test]
    fn a_figure_becomes_a_section() {
        let folder = env::temp_dir().join(format!("callboard-figures-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write_figure(&folder, "Lost by kills", "| kills | lost |\n");
        let text = fs::read_to_string(folder.join("lost-by-kills.md")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text, "## Lost by kills\n\n| kills | lost |\n");
    }
}
