//! Dropping privileges after binding: a server that needs root for its port does not stay root.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};

use crate::error::{Failure, Phase};

/// Changes to `user` and `group`, each a name or a number, permanently. A user of the database has
/// its groups; a group without a user, or with an unknown number, is the only one.
///
/// Fails at [`Phase::Bind`]: with code 2 for an unknown name, or a number without a group, with 45
/// without the privilege.
pub fn switch_user(user: Option<&str>, group: Option<&str>) -> Result<(), Failure> {
    let user = user.map(|word| find_user(word).map_err(|e| unknown("--user", word, e)));
    let user = user.transpose()?;
    let group_flag = if group.is_some() { "--group" } else { "--user" };
    let group = group.map(|word| find_group(word).map_err(|e| unknown("--group", word, e)));
    let known = user.as_ref().and_then(|user| user.entry.as_ref());
    let gid = group.transpose()?.or(known.map(|entry| entry.gid));
    if let (Some(user), None) = (&user, gid) {
        let why = "has no group in the user database; set one with --group";
        return Err(Failure::usage(Phase::Bind, format!("--user {}", user.uid), why));
    }
    let uid = user.as_ref().map(|user| user.uid);
    let is_current =
        uid.is_none_or(|uid| uid == geteuid()) && gid.is_none_or(|gid| gid == getegid());
    let refused = |flag| move |e| Failure::new(Phase::Bind, flag, e);
    if let Some(gid) = gid.filter(|_| !is_current || geteuid().is_root()) {
        set_groups(known, gid).map_err(refused(group_flag))?;
    }
    if let Some(uid) = uid {
        // For root it sets the real, effective and saved user (setuid(2)).
        setuid(uid).map_err(|e| refused("--user")(e.into()))?;
    }
    if (uid.is_some() || gid.is_some()) && !geteuid().is_root() {
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

/// A user, and its entry in the user database if there is one.
struct Account {
    uid: Uid,
    entry: Option<User>,
}

fn unknown(flag: &str, word: &str, e: io::Error) -> Failure {
    let why = match e.kind() {
        io::ErrorKind::NotFound => "unknown".to_string(),
        _ => crate::error::message_without_errno(&e),
    };
    Failure::usage(Phase::Bind, format!("{flag} {word}"), why)
}

fn find_user(word: &str) -> io::Result<Account> {
    if let Ok(uid) = word.parse() {
        let uid = Uid::from_raw(uid);
        // Some name services report an unknown number as an error (getpwuid(3)).
        return match User::from_uid(uid) {
            Err(Errno::ENOENT) => Ok(Account { uid, entry: None }),
            entry => Ok(Account { uid, entry: entry? }),
        };
    }
    let entry = User::from_name(word)?.ok_or(Errno::ENOENT)?;
    Ok(Account { uid: entry.uid, entry: Some(entry) })
}

fn find_group(word: &str) -> io::Result<Gid> {
    match word.parse() {
        Ok(gid) => Ok(Gid::from_raw(gid)),
        Err(_) => Ok(Group::from_name(word)?.ok_or(Errno::ENOENT)?.gid),
    }
}

fn set_groups(user: Option<&User>, gid: Gid) -> io::Result<()> {
    match user {
        Some(user) => initgroups(&CString::new(user.name.as_str())?, gid)?,
        None => setgroups(&[gid])?,
    }
    Ok(setgid(gid)?)
}

/// Drops all means of becoming root again.
fn drop_root() -> io::Result<()> {
    drop_capabilities()?;
    if can_regain_root() {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

/// Whether a user of the process is root (setuid(2)); without capabilities there is no other way.
#[cfg(target_os = "linux")]
fn can_regain_root() -> bool {
    nix::unistd::getresuid().is_ok_and(|ids| ids.real.is_root() || ids.saved.is_root())
}

/// Whether the process can become root.
#[cfg(not(target_os = "linux"))]
fn can_regain_root() -> bool {
    setuid(Uid::from_raw(0)).is_ok()
}

/// Drops the capabilities of the calling thread, and of the threads and programs that it starts
/// later. A change between two users other than root would keep them (capabilities(7)).
#[cfg(target_os = "linux")]
fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let none = CapabilitySet::empty();
    // A capability that is not inheritable is not ambient either.
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
fn drop_capabilities() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn names_and_numbers_are_found() {
        assert!(find_user("root").unwrap().uid.is_root());
        assert_eq!(find_user("0").unwrap().entry.unwrap().gid.as_raw(), 0);
        assert!(find_user("3999999").unwrap().entry.is_none());
        assert_eq!(find_group("root").unwrap().as_raw(), 0);
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
