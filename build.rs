//! Links into the program a library that would otherwise be loaded at every start.
//!
//! libgcc_s, which unwinds the stack of a panic, is found, mapped and relocated before `main`: a
//! tenth of the time of a short run. Where the toolchain has its static form, a linker script of
//! the same name says to take that; where it has not, nothing changes. The C library itself stays
//! shared, because names are looked up by modules (nsswitch.conf(5)) that must belong to the same.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The shared library, and the static ones that stand in for it.
const SHARED: &str = "libgcc_s.so";
const STATIC: [&str; 2] = ["libgcc_eh.a", "libgcc.a"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    if is_plain_gnu_build() && stand_in(&out.join(SHARED)) {
        println!("cargo::rustc-link-search=native={}", out.display());
    }
}

/// Linux with glibc, for the machine that builds: a cross linker's libraries are elsewhere.
fn is_plain_gnu_build() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var("HOST") == env::var("TARGET")
        && !features.split(',').any(|feature| feature == "crt-static")
}

/// Writes the linker script, if the toolchain has every archive.
fn stand_in(script: &Path) -> bool {
    let found: Option<Vec<String>> = STATIC.iter().map(|name| find(name)).collect();
    let Some(found) = found else { return false };
    fs::write(script, format!("INPUT({})\n", found.join(" "))).is_ok()
}

/// Where the C compiler would take a library from; it answers with the bare name for one that it
/// has not (gcc(1), `-print-file-name`).
fn find(archive: &str) -> Option<String> {
    let answer = Command::new("cc").arg(format!("-print-file-name={archive}")).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok()?.trim().to_string();
    (Path::new(&path).is_absolute() && Path::new(&path).exists()).then_some(path)
}
