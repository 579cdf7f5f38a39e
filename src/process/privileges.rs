//! Dropping privileges after binding: a server that needs root for its port does not stay root.
#![allow(unsafe_code)] // the C library reads the user database, and changes the ids of all threads

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use crate::error::{Failure, Phase};

/// Buffer size for an entry of the user or group database, initially and at most.
const INITIAL_ENTRY: usize = 4 << 10;
const MAX_ENTRY: usize = 1 << 20;

/// Changes to `user` and `group`, each a name or a number, permanently. A user of the database has
/// its groups; a group without a user, or with an unknown number, is the only one.
///
/// Fails at [`Phase::Bind`]: with code 2 for an unknown name, or a number without a group, with 45
/// without the privilege.
pub fn switch_user(user: Option<&str>, group: Option<&str>) -> Result<(), Failure> {
    let user = user.map(|name| find_user(name).map_err(|e| unknown("--user", name, e)));
    let user = user.transpose()?;
    let group = group.map(|name| find_group(name).map_err(|e| unknown("--group", name, e)));
    let gid = group.transpose()?.or(user.as_ref().and_then(|user| user.gid));
    if let (Some(user), None) = (&user, gid) {
        let why = "has no group in the user database; set one with --group";
        return Err(Failure::usage(Phase::Bind, format!("--user {}", user.uid), why));
    }
    let refused = |flag| move |e| Failure::new(Phase::Bind, flag, e);
    if !is_current_user(user.as_ref().map(|user| user.uid), gid)
        || rustix::process::geteuid().is_root()
    {
        set_groups(user.as_ref(), gid).map_err(refused("--group"))?;
    }
    if let Some(user) = &user {
        set_user(user.uid).map_err(refused("--user"))?;
    }
    let changes = user.is_some() || gid.is_some();
    if changes && !rustix::process::geteuid().is_root() {
        drop_root().map_err(refused("--user"))?;
    }
    Ok(())
}

/// Prevents programs that are started later from gaining privileges (prctl(2),
/// `PR_SET_NO_NEW_PRIVS`). Threads inherit it, so this is called before any other is started.
///
/// Fails at [`Phase::Socket`] on kernels before 3.5.
#[cfg(target_os = "linux")]
pub fn set_no_new_privs() -> Result<(), Failure> {
    let done = rustix::thread::set_no_new_privs(true);
    done.map_err(|e| Failure::new(Phase::Socket, "PR_SET_NO_NEW_PRIVS", io::Error::from(e)))
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn set_no_new_privs() -> Result<(), Failure> {
    Ok(())
}

struct User {
    uid: libc::uid_t,
    /// Its group, if it is in the database.
    gid: Option<libc::gid_t>,
    name: Option<CString>,
}

fn unknown(flag: &str, name: &str, e: io::Error) -> Failure {
    let why = match e.kind() {
        io::ErrorKind::NotFound => "unknown".to_string(),
        _ => crate::error::message_without_errno(&e),
    };
    Failure::usage(Phase::Bind, format!("{flag} {name}"), why)
}

fn is_current_user(uid: Option<libc::uid_t>, gid: Option<libc::gid_t>) -> bool {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    uid.is_none_or(|uid| uid == user) && gid.is_none_or(|gid| gid == group)
}

fn find_user(word: &str) -> io::Result<User> {
    if let Ok(uid) = word.parse() {
        return match look_up(|buffer| user_entry(None, uid, buffer)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(User { uid, gid: None, name: None })
            }
            found => found,
        };
    }
    let name = CString::new(word)?;
    look_up(|buffer| user_entry(Some(&name), 0, buffer))
}

/// Reads the entry of a name, or of a number without a name.
fn user_entry(name: Option<&CStr>, uid: libc::uid_t, buffer: &mut [u8]) -> Result<User, i32> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = ptr::null_mut();
    let (space, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: all pointers are to live memory of the sizes given; `entry` is only read where the
    // call says that it has filled it, and its name lies in `buffer`.
    unsafe {
        let error = match name {
            Some(name) => {
                libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), space, size, &mut found)
            }
            None => libc::getpwuid_r(uid, entry.as_mut_ptr(), space, size, &mut found),
        };
        match error {
            0 if found.is_null() => Err(libc::ENOENT),
            0 => {
                let entry = entry.assume_init_ref();
                let name = Some(CStr::from_ptr(entry.pw_name).to_owned());
                Ok(User { uid: entry.pw_uid, gid: Some(entry.pw_gid), name })
            }
            error => Err(error),
        }
    }
}

fn find_group(word: &str) -> io::Result<libc::gid_t> {
    if let Ok(gid) = word.parse() {
        return Ok(gid);
    }
    let name = CString::new(word)?;
    look_up(|buffer| {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: as in `find_user`.
        unsafe {
            let (buffer, size) = (buffer.as_mut_ptr().cast(), buffer.len());
            match libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), buffer, size, &mut found) {
                0 if found.is_null() => Err(libc::ENOENT),
                0 => Ok(entry.assume_init_ref().gr_gid),
                error => Err(error),
            }
        }
    })
}

/// Calls `query` with a larger buffer as long as it requires one.
fn look_up<T>(query: impl Fn(&mut [u8]) -> Result<T, i32>) -> io::Result<T> {
    let mut size = INITIAL_ENTRY;
    loop {
        match query(&mut vec![0; size]) {
            Err(libc::ERANGE) if size < MAX_ENTRY => size *= 4,
            done => return done.map_err(io::Error::from_raw_os_error),
        }
    }
}

fn set_groups(user: Option<&User>, gid: Option<libc::gid_t>) -> io::Result<()> {
    let Some(gid) = gid else { return Ok(()) };
    let name: Option<&CStr> = user.and_then(|user| user.name.as_deref());
    // SAFETY: the name is a C string and the list has the one element that is counted.
    unsafe {
        done(match name {
            Some(name) => libc::initgroups(name.as_ptr(), gid as _),
            None => libc::setgroups(1, &gid),
        })?;
        done(libc::setgid(gid))
    }
}

fn set_user(uid: libc::uid_t) -> io::Result<()> {
    // SAFETY: a call without pointers; for root it sets the real, effective and saved user (setuid(2)).
    unsafe { done(libc::setuid(uid)) }
}

/// Drops all means of becoming root again.
fn drop_root() -> io::Result<()> {
    drop_capabilities()?;
    // SAFETY: a call without pointers, which must fail.
    match unsafe { libc::setuid(0) } {
        0 => Err(io::Error::other("root could be regained")),
        _ => Ok(()),
    }
}

/// Drops the capabilities of the calling thread, and of the threads and programs that it starts
/// later. A change between two users other than root would keep them (capabilities(7)).
#[cfg(target_os = "linux")]
pub fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let none = CapabilitySet::empty();
    // A capability that is not inheritable is not ambient either.
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn drop_capabilities() -> io::Result<()> {
    Ok(())
}

fn done(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(find_user("root").unwrap().uid, 0);
        assert_eq!(find_user("0").unwrap().gid, Some(0));
        assert_eq!(find_user("3999999").unwrap().gid, None);
        assert_eq!(find_group("root").unwrap(), 0);
    }

    #[test]
    fn unknown_name_is_a_usage_error() {
        for (user, group) in
            [(Some("no-such-user"), None), (None, Some("no-such-group")), (Some("3999999"), None)]
        {
            assert_eq!(switch_user(user, group).unwrap_err().code, ExitCode::Usage);
        }
    }

    #[test]
    fn current_user_and_group_are_allowed() {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let gid = rustix::process::getegid().as_raw().to_string();
        assert!(switch_user(Some(&uid), Some(&gid)).is_ok());
        assert!(switch_user(None, None).is_ok());
    }
}
