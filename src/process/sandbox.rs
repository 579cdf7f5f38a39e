//! What a run gives up once it is set up, so that a mistake of ours is of less use to a peer: by
//! landlock(7) the files and TCP ports that it has no more need of, abstract Unix sockets of other
//! processes, and signals to them. What Landlock does not know stays open: UDP, Unix sockets at a
//! path, what /proc shows of this user's processes.
//!
//! Best effort: an older kernel, or another system, confines less or nothing, and the run goes on.
//! What is open stays usable. Landlock binds the calling thread and those it starts later.

use std::fmt;
use std::path::PathBuf;

/// What a run still has to do after its set-up, besides using what is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// Read any file: name services and roots of trust lie where the system likes. Otherwise only
    /// what tells the local time.
    pub reads: bool,
    /// Make, write, rename and remove files in these directories.
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

/// How far the kernel went along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxStatus {
    /// Files and ports alike.
    Fully,
    /// As far as this kernel's Landlock goes.
    Partly,
    /// Not at all, and why.
    Not(String),
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxStatus::Fully => write!(f, "Landlock confines this run's files and TCP ports"),
            SandboxStatus::Partly => {
                write!(f, "Landlock confines this run as far as this kernel knows")
            }
            SandboxStatus::Not(why) => write!(f, "Landlock does not confine this run: {why}"),
        }
    }
}

/// Gives up everything but `needs`, for good.
#[cfg(target_os = "linux")]
pub fn confine(needs: &SandboxPolicy) -> SandboxStatus {
    linux::confine(needs).unwrap_or_else(|e| SandboxStatus::Not(e.to_string()))
}

/// There is no such thing on this system.
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

    /// What we ask about: files with truncation (3), TCP (4), and beyond these the scopes of
    /// abstract sockets and signals (6). Newer kernels know more, none of
    /// which has been tried against every way the C library has of finding a name.
    const FILES: ABI = ABI::V3;
    const PORTS: ABI = ABI::V4;

    /// What the C library and chrono read to tell the local time, at each connection anew.
    const TIME: [&str; 5] = [
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

    /// What is forbidden wherever no rule allows it. Whoever reads anything may load a module of
    /// the name service, which may start what it likes: that is confined as we are.
    fn files(needs: &SandboxPolicy) -> BitFlags<AccessFs> {
        match needs.reads {
            true => AccessFs::from_write(FILES),
            false => AccessFs::from_all(FILES),
        }
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

    /// What of other processes is out of reach. Name services are reached as their modules like,
    /// and a service manager may listen on an abstract socket (sd_notify(3)).
    fn scopes(needs: &SandboxPolicy) -> BitFlags<Scope> {
        let manager = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        let is_abstract = manager.as_encoded_bytes().starts_with(b"@");
        match needs.reads || needs.sends_to_abstract || is_abstract {
            true => Scope::Signal.into(),
            false => Scope::AbstractUnixSocket | Scope::Signal,
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
            let places = TIME.into_iter().chain(zone);
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

    /// A place that is not there, or not for us, needs no rule. One that cannot be opened for any
    /// other reason would be lost to us: then we had better not be confined.
    fn allow(
        rules: RulesetCreated,
        path: &Path,
        access: BitFlags<AccessFs>,
    ) -> Result<RulesetCreated, Box<dyn Error>> {
        match PathFd::new(path) {
            Ok(place) => Ok(rules.add_rule(PathBeneath::new(place, access))?),
            Err(error) if is_closed_to_us(&error) => Ok(rules),
            Err(error) => Err(error.into()),
        }
    }

    fn is_closed_to_us(error: &PathFdError) -> bool {
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

    /// Landlock binds one thread and its children: a thread of its own may give up everything.
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
    fn a_server_reaches_no_file_and_no_port_and_keeps_what_it_has() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        let mut open = File::create(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let caller = TcpStream::connect(local).unwrap();

        confined(SandboxPolicy::default(), || {
            assert!(refused(File::open(&path)) && refused(File::open("/etc/passwd")));
            assert!(refused(File::open("/proc/net/tcp")));
            assert!(refused(fs::read_dir("/")) && refused(fs::remove_file(&path)));
            assert!(refused(File::create(place.path().join("g"))));
            assert!(refused(fs::rename(&path, place.path().join("h"))));
            assert!(refused(TcpListener::bind("127.0.0.1:0")));
            assert!(refused(TcpStream::connect(local)));
            assert!(refused(std::process::Command::new("/bin/true").spawn()));

            open.write_all(b"still here").unwrap();
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, caller.local_addr().unwrap());
        });
    }

    #[test]
    fn other_processes_abstract_sockets_and_signals_are_out_of_reach() {
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
    fn the_local_time_stays_what_it_was() {
        let before = chrono::Local::now().offset().to_string();
        let after =
            confined(SandboxPolicy::default(), || chrono::Local::now().offset().to_string());
        assert!(after.is_none_or(|after| after == before));
        let read = confined(SandboxPolicy::default(), || fs::read("/etc/localtime"));
        assert!(read.is_none_or(|read| !refused(read)));
    }

    #[test]
    fn only_the_folder_that_was_named_can_be_written_to() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let needs = SandboxPolicy {
            reads: true,
            writes: vec![ours.path().into()],
            ..SandboxPolicy::default()
        };
        confined(needs, || {
            let part = ours.path().join("f.part");
            fs::write(&part, "body").unwrap();
            fs::rename(&part, ours.path().join("f")).unwrap();
            fs::write("/dev/null", "nothing").unwrap();
            assert!(fs::read("/proc/self/stat").is_ok() && fs::read_dir("/").is_ok());
            assert!(refused(fs::write(other.path().join("f"), "body")));
            assert!(refused(fs::rename(ours.path().join("f"), other.path().join("f"))));
        });
    }

    #[test]
    fn who_removes_a_socket_makes_and_reads_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let needs =
            SandboxPolicy { removes: Some(place.path().into()), ..SandboxPolicy::default() };
        confined(needs, || {
            drop(listener);
            fs::remove_file(&path).unwrap();
            assert!(refused(fs::write(&path, "other")));
        });
    }

    #[test]
    fn who_connects_need_not_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let needs = SandboxPolicy { reads: true, connects: true, ..SandboxPolicy::default() };
        confined(needs, || {
            TcpStream::connect(local).unwrap();
            assert!(refused(TcpListener::bind("127.0.0.1:0")));
        });
    }
}
