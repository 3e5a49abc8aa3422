//! The local core against its peers: `cargo bench --manifest-path benches/Cargo.toml --bench local`.
//!
//! The peers take turns within one run, so that what else the machine does hits them alike. Every
//! sample starts its peer anew, with one thread for its actors.

use std::{error::Error, fs};

use callboard_benches::{
    measured::Measured,
    options::{HELP, Options, holds},
    plot,
    row::{ROWS, TABLES},
};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::read()? else {
        println!("{HELP}");
        return Ok(());
    };
    let rows = ROWS.into_iter().filter(|row| options.wants(row)).collect();
    let wants_peer = |name: &str| holds(&options.peers, name);
    let measured = Measured::run(rows, wants_peer, options.rounds, options.divisor);
    let report = measured.report()?;
    println!("{report}");
    if let Some(path) = &options.markdown {
        fs::write(path, report)?;
    }
    if let Some(folder) = &options.plots {
        fs::create_dir_all(folder)?;
        for (name, kind) in TABLES {
            if let Some(plot) = plot::of(&measured, kind) {
                fs::write(folder.join(name).with_extension("svg"), plot)?;
            }
        }
    }
    Ok(())
}
