//! The Landlock sandbox (landlock(7)), which limits what a peer can do with a bug in sockit: after
//! set-up a run cannot reach files and TCP ports that it does not need, abstract Unix sockets of other
//! processes, or signal them. Landlock does not cover UDP, Unix sockets at a path, and what /proc
//! shows of this user's processes.
//!
//! Best effort: an older kernel, or another system, restricts less or nothing, and the run continues.
//! Open descriptors stay usable. The sandbox applies to the calling thread and those it starts later.

use std::fmt;
use std::path::PathBuf;

/// What a run needs after set-up, besides its open descriptors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// Read any file: the files of name services and trusted roots differ between systems. Otherwise
    /// only those of the local time zone.
    pub reads: bool,
    /// Create, write, rename and remove files in these directories.
    pub writes: Vec<PathBuf>,
    /// Remove files in this directory.
    pub removes: Option<PathBuf>,
    /// Connect to TCP ports.
    pub connects: bool,
    /// Bind TCP ports.
    pub binds: bool,
    /// Send to abstract Unix sockets of other processes.
    pub sends_to_abstract: bool,
}

/// How far the sandbox is enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxStatus {
    /// Files and ports.
    Fully,
    /// As far as this kernel's Landlock supports it.
    Partly,
    /// Not at all, with the reason.
    Not(String),
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxStatus::Fully => write!(f, "Landlock confines this run's files and TCP ports"),
            SandboxStatus::Partly => {
                write!(
                    f,
                    "Landlock confines this run in part: this kernel does not support all of it"
                )
            }
            SandboxStatus::Not(why) => write!(f, "Landlock does not confine this run: {why}"),
        }
    }
}

/// Restricts this thread to `needs`, permanently.
#[cfg(target_os = "linux")]
pub fn confine(needs: &SandboxPolicy) -> SandboxStatus {
    linux::confine(needs).unwrap_or_else(|e| SandboxStatus::Not(e.to_string()))
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn confine(_: &SandboxPolicy) -> SandboxStatus {
    SandboxStatus::Not("this system has none".into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};

    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, PathFdError, Ruleset,
        RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
    };

    use super::{SandboxPolicy, SandboxStatus};

    /// The restricted operations: files with truncation (3), TCP (4), and the scopes of abstract
    /// sockets and signals (6). Newer ABIs are not used: they were not tested against all name
    /// services of the C library.
    const FILES: ABI = ABI::V3;
    const PORTS: ABI = ABI::V4;

    /// Files that the C library and chrono read for the local time, for each connection.
    const TIME_ZONE_FILES: [&str; 5] = [
        "/etc/localtime",
        "/etc/timezone",
        "/usr/share/zoneinfo",
        "/share/zoneinfo",
        "/etc/zoneinfo",
    ];

    pub fn confine(needs: &SandboxPolicy) -> Result<SandboxStatus, Box<dyn Error>> {
        let mut rules = Ruleset::default().handle_access(files(needs))?;
        let ports = ports(needs);
        if !ports.is_empty() {
            rules = rules.handle_access(ports)?;
        }
        let mut rules = rules.scope(scopes(needs))?.create()?;
        for (path, access) in allowed(needs) {
            rules = allow(rules, &path, access)?;
        }
        Ok(match rules.restrict_self()?.ruleset {
            RulesetStatus::FullyEnforced => SandboxStatus::Fully,
            RulesetStatus::PartiallyEnforced => SandboxStatus::Partly,
            RulesetStatus::NotEnforced => SandboxStatus::Not("this kernel has none".into()),
        })
    }

    /// Operations that need a rule. A run that may read any file may also execute: a module of the
    /// name service may start programs, which inherit the sandbox.
    fn files(needs: &SandboxPolicy) -> BitFlags<AccessFs> {
        if needs.reads { AccessFs::from_write(FILES) } else { AccessFs::from_all(FILES) }
    }

    fn ports(needs: &SandboxPolicy) -> BitFlags<AccessNet> {
        let mut ports = AccessNet::from_all(PORTS);
        if needs.connects {
            ports.remove(AccessNet::ConnectTcp);
        }
        if needs.binds {
            ports.remove(AccessNet::BindTcp);
        }
        ports
    }

    /// Restrictions towards other processes. Name services and a service manager may listen on an
    /// abstract socket (sd_notify(3)).
    fn scopes(needs: &SandboxPolicy) -> BitFlags<Scope> {
        let manager = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        let is_abstract = manager.as_encoded_bytes().starts_with(b"@");
        if needs.reads || needs.sends_to_abstract || is_abstract {
            Scope::Signal.into()
        } else {
            Scope::AbstractUnixSocket | Scope::Signal
        }
    }

    fn allowed(needs: &SandboxPolicy) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
        let mut allowed = Vec::new();
        if needs.reads {
            let write = AccessFs::WriteFile | AccessFs::Truncate;
            allowed.extend(["/dev/null", "/dev/tty"].map(|path| (path.into(), write)));
        } else {
            let zone = std::env::var("TZ").unwrap_or_default();
            let zone = zone.strip_prefix(':').unwrap_or(&zone);
            let zone = Some(zone).filter(|zone| zone.starts_with('/'));
            let places = TIME_ZONE_FILES.into_iter().chain(zone);
            allowed.extend(places.map(|path| (path.into(), AccessFs::ReadFile.into())));
        }
        for folder in &needs.writes {
            allowed.push((folder.clone(), AccessFs::from_write(FILES)));
        }
        if let Some(folder) = &needs.removes {
            allowed.push((folder.clone(), AccessFs::RemoveFile.into()));
        }
        allowed
    }

    /// Adds a rule for `path`. A path that does not exist or is not accessible needs none; one that
    /// cannot be opened for another reason would become unreachable, so that is an error.
    fn allow(
        rules: RulesetCreated,
        path: &Path,
        access: BitFlags<AccessFs>,
    ) -> Result<RulesetCreated, Box<dyn Error>> {
        match PathFd::new(path) {
            Ok(directory) => Ok(rules.add_rule(PathBeneath::new(directory, access))?),
            Err(error) if is_inaccessible(&error) => Ok(rules),
            Err(error) => Err(error.into()),
        }
    }

    fn is_inaccessible(error: &PathFdError) -> bool {
        let PathFdError::OpenCall { source, .. } = error else { return false };
        use ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        matches!(source.kind(), NotFound | NotADirectory | PermissionDenied)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};

    /// Runs `then` in a sandboxed thread; the sandbox does not apply to the other threads.
    fn confined<T: Send>(needs: SandboxPolicy, then: impl FnOnce() -> T + Send) -> Option<T> {
        std::thread::scope(|scope| {
            let run = scope.spawn(|| (confine(&needs) == SandboxStatus::Fully).then(then));
            run.join().expect("no panic")
        })
    }

    fn refused<T>(tried: std::io::Result<T>) -> bool {
        tried.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn server_reaches_no_file_and_no_port() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let mut open = File::create(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();

        confined(SandboxPolicy::default(), || {
            assert!(refused(File::open(&path)) && refused(File::open("/etc/passwd")));
            assert!(refused(File::open("/proc/net/tcp")));
            assert!(refused(fs::read_dir("/")) && refused(fs::remove_file(&path)));
            assert!(refused(File::create(directory.path().join("g"))));
            assert!(refused(fs::rename(&path, directory.path().join("h"))));
            assert!(refused(TcpListener::bind("127.0.0.1:0")));
            assert!(refused(TcpStream::connect(local)));
            assert!(refused(std::process::Command::new("/bin/true").spawn()));

            open.write_all(b"still here").unwrap();
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        });
    }

    #[test]
    fn abstract_sockets_and_signals_are_restricted() {
        use rustix::process::{Pid, Signal, kill_process};
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

        let name = format!("sockit-confine-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&other);
        let connect = || refused(UnixStream::connect_addr(&address));
        let signal = || kill_process(pid, Signal::CONT) == Err(rustix::io::Errno::PERM);
        let scoped = confined(SandboxPolicy::default(), || (connect(), signal()));
        assert_eq!(scoped.unwrap_or((true, true)), (true, true));
        let sends = SandboxPolicy { sends_to_abstract: true, ..SandboxPolicy::default() };
        assert_eq!(
            confined(sends, || (connect(), signal())).unwrap_or((false, true)),
            (false, true)
        );
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn only_the_named_directory_is_writable() {
        let (named, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let needs = SandboxPolicy {
            reads: true,
            writes: vec![named.path().into()],
            ..SandboxPolicy::default()
        };
        confined(needs, || {
            let part = named.path().join("f.part");
            fs::write(&part, "body").unwrap();
            fs::rename(&part, named.path().join("f")).unwrap();
            fs::write("/dev/null", "nothing").unwrap();
            assert!(fs::read("/proc/self/stat").is_ok() && fs::read_dir("/").is_ok());
            assert!(refused(fs::write(other.path().join("f"), "body")));
            assert!(refused(fs::rename(named.path().join("f"), other.path().join("f"))));
        });
    }

    #[test]
    fn remover_of_a_socket_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let needs =
            SandboxPolicy { removes: Some(directory.path().into()), ..SandboxPolicy::default() };
        confined(needs, || {
            drop(listener);
            fs::remove_file(&path).unwrap();
            assert!(refused(fs::write(&path, "other")));
        });
    }

    #[test]
    fn connecting_does_not_allow_listening() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let needs = SandboxPolicy { reads: true, connects: true, ..SandboxPolicy::default() };
        confined(needs, || {
            TcpStream::connect(local).unwrap();
            assert!(refused(TcpListener::bind("127.0.0.1:0")));
        });
    }
}
