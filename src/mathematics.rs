//! The two functions of the mathematical library that crates of ours call, `log` for «1.2 MiB» and
//! `pow` for the time that a progress bar has left, under the names that the C library gives them.
//!
//! Without these, libm is found, mapped and relocated at every start: a seventh of a short run.
#![allow(unsafe_code)] // the names by which the linker finds them

#[unsafe(no_mangle)]
extern "C" fn log(x: f64) -> f64 {
    libm::log(x)
}

#[unsafe(no_mangle)]
extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}
