//! Whether "no such name" is an answer, or only the end of what the C library could do.
//!
//! glibc goes on to the next source when it cannot open a file or a socket, and says at the end
//! what it says of a name that nobody knows. So an absence counts only when the hosts file has
//! been readable and does not contradict it, and when the process had what it needed.

use std::io;

use dns_lookup::LookupError;

use super::files::{self, Hosts};
use super::system::{meaning, refused};
use crate::failure::{Code, Failure, Stage};

/// What the C library says to `ask`, asked once more where an absence is in doubt.
///
/// Fails at [`Stage::Resolve`]: with 6 when there is nothing, with 75 when that is not known. The
/// hosts file `settles` the question when the answer must be in it.
pub fn sure<T>(
    what: &str,
    ask: impl Fn() -> Result<T, LookupError>,
    settles: impl Fn(&Hosts) -> bool,
) -> Result<T, Failure> {
    let absence = match ask() {
        Err(error) if meaning(error.error_num()) == Code::Resolve => error,
        told => return told.map_err(|error| refused(what, error)),
    };
    let short = shortage().is_some();
    let hosts = files::hosts().map_err(|error| blind(what, &absence, error))?;
    if !short && !settles(&hosts) {
        return Err(refused(what, absence));
    }
    forget_shortage();
    match ask() {
        Err(error) if meaning(error.error_num()) == Code::Resolve => Err(match shortage() {
            Some(shortage) => blind(what, &error, shortage),
            None => refused(what, error),
        }),
        told => told.map_err(|error| refused(what, error)),
    }
}

/// Nothing was found, and not everywhere could be looked.
fn blind(what: &str, absence: &LookupError, why: io::Error) -> Failure {
    let absence = refused(what, LookupError::new(absence.error_num())).cause();
    let failure = Failure::new(Stage::Resolve, what, why).with_code(Code::TryAgain);
    failure.during(&absence)
}

/// Why this thread's latest failed call failed, where it was a want of descriptors or memory, or a
/// broken disk.
fn shortage() -> Option<io::Error> {
    let latest = io::Error::last_os_error();
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EIO];
    latest.raw_os_error().is_some_and(|errno| short.contains(&errno)).then_some(latest)
}

/// Lets a call fail that is short of nothing, so that an old shortage is not taken for a new one.
fn forget_shortage() {
    let _ = std::fs::metadata("");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn absent<T>() -> Result<T, LookupError> {
        Err(LookupError::new(libc::EAI_NONAME))
    }

    #[test]
    fn an_absence_without_a_doubt_is_asked_for_once() {
        forget_shortage();
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            absent::<()>()
        };
        assert_eq!(sure("x", ask, |_| false).unwrap_err().code, Code::Resolve);
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn what_the_hosts_file_contradicts_is_asked_again() {
        let asked = Cell::new(0);
        let ask = || match asked.replace(asked.get() + 1) {
            0 => absent(),
            _ => Ok(7),
        };
        assert_eq!(sure("x", ask, |_| true).unwrap(), 7);
        assert_eq!(sure("x", absent::<()>, |_| true).unwrap_err().code, Code::Resolve);
    }

    #[test]
    fn a_failing_resolver_is_believed_at_once() {
        let ask = || Err::<(), _>(LookupError::new(libc::EAI_AGAIN));
        assert_eq!(sure("x", ask, |_| panic!()).unwrap_err().code, Code::TryAgain);
    }
}
