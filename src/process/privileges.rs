//! Whose process this is, once the port is ours: a server that had to be root for its port need
//! not stay root.
#![allow(unsafe_code)] // the C library keeps the user database, and changes all threads at once

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use crate::error::{Failure, Phase};

/// Room for an entry of the user or group database; larger ones get more, up to the second.
const ROOM: (usize, usize) = (4 << 10, 1 << 20);

/// Becomes `user` and `group`, each a name or a number, for good. A user that is known brings its
/// own groups; a group alone, or with a number that nobody has, is the only one.
///
/// Fails at [`Stage::Bind`]: with code 2 for a name that is not known, or a number that has no
/// group, with 45 when we may not.
pub fn switch_user(user: Option<&str>, group: Option<&str>) -> Result<(), Failure> {
    let user = user.map(|name| find_user(name).map_err(|e| unknown("--user", name, e)));
    let user = user.transpose()?;
    let group = group.map(|name| find_group(name).map_err(|e| unknown("--group", name, e)));
    let gid = group.transpose()?.or(user.as_ref().and_then(|user| user.gid));
    if let (Some(user), None) = (&user, gid) {
        let why = "has no group of its own; --group says which";
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
    match changes && !rustix::process::geteuid().is_root() {
        true => forget_root().map_err(refused("--user")),
        false => Ok(()),
    }
}

/// Gives up that programs started from here on can gain privileges (prctl(2),
/// `PR_SET_NO_NEW_PRIVS`). Threads inherit it, so this comes before any other is made.
///
/// Fails at [`Stage::Socket`] on kernels before 3.5.
#[cfg(target_os = "linux")]
pub fn set_no_new_privs() -> Result<(), Failure> {
    let done = rustix::thread::set_no_new_privs(true);
    done.map_err(|e| Failure::new(Phase::Socket, "PR_SET_NO_NEW_PRIVS", io::Error::from(e)))
}

/// There is no such thing on this system.
#[cfg(not(target_os = "linux"))]
pub fn set_no_new_privs() -> Result<(), Failure> {
    Ok(())
}

struct User {
    uid: libc::uid_t,
    /// Its own group, where the database knows it.
    gid: Option<libc::gid_t>,
    name: Option<CString>,
}

fn unknown(flag: &str, name: &str, e: io::Error) -> Failure {
    let why = match e.kind() {
        io::ErrorKind::NotFound => "not known".to_string(),
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
        return match look_up(|room| user_entry(None, uid, room)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(User { uid, gid: None, name: None })
            }
            found => found,
        };
    }
    let name = CString::new(word)?;
    look_up(|room| user_entry(Some(&name), 0, room))
}

/// The entry of a name, or without one of a number.
fn user_entry(name: Option<&CStr>, uid: libc::uid_t, room: &mut [u8]) -> Result<User, i32> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = ptr::null_mut();
    let (space, size) = (room.as_mut_ptr().cast(), room.len());
    // SAFETY: all pointers are to live memory of the sizes given; `entry` is only read where the
    // call says that it has filled it, and its name lies in `room`.
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
    look_up(|room| {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: as in `find_user`.
        unsafe {
            let (room, size) = (room.as_mut_ptr().cast(), room.len());
            match libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), room, size, &mut found) {
                0 if found.is_null() => Err(libc::ENOENT),
                0 => Ok(entry.assume_init_ref().gr_gid),
                error => Err(error),
            }
        }
    })
}

/// Asks the database, with more room as long as it wants more.
fn look_up<T>(ask: impl Fn(&mut [u8]) -> Result<T, i32>) -> io::Result<T> {
    let mut size = ROOM.0;
    loop {
        match ask(&mut vec![0; size]) {
            Err(libc::ERANGE) if size < ROOM.1 => size *= 4,
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
    // SAFETY: a plain call; for root it sets the real, effective and saved user (setuid(2)).
    unsafe { done(libc::setuid(uid)) }
}

/// Makes sure that nothing is left to become root by.
fn forget_root() -> io::Result<()> {
    drop_capabilities()?;
    // SAFETY: a plain call, which must fail.
    match unsafe { libc::setuid(0) } {
        0 => Err(io::Error::other("root could be regained")),
        _ => Ok(()),
    }
}

/// Gives up the capabilities of the calling thread and of the threads and programs that it starts
/// later. A change between two users other than root keeps them (capabilities(7)).
#[cfg(target_os = "linux")]
pub fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let none = CapabilitySet::empty();
    // A capability that is not inheritable is not ambient either.
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// There is no such thing on this system.
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
    fn an_unknown_name_is_a_usage_error() {
        for (user, group) in
            [(Some("no-such-user"), None), (None, Some("no-such-group")), (Some("3999999"), None)]
        {
            assert_eq!(switch_user(user, group).unwrap_err().code, ExitCode::Usage);
        }
    }

    #[test]
    fn to_stay_who_we_are_is_always_allowed() {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let gid = rustix::process::getegid().as_raw().to_string();
        assert!(switch_user(Some(&uid), Some(&gid)).is_ok());
        assert!(switch_user(None, None).is_ok());
    }
}
