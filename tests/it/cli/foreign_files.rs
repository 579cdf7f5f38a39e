//! Files of another user at a path that a run writes to: none of them is followed, filled, trusted
//! or waited for. Needs root, which can change the owner of a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

#[cfg(feature = "http")]
use crate::support::origin::{Origin, ok, origin};
use crate::support::peer;
use crate::support::sockit::{Run, Sockit, sockit};

/// Another user.
const OTHER_USER: u32 = 65534;

/// A directory where all users can create files, as /tmp, and a file that only its owner may change.
struct Shared {
    dir: TempDir,
}

impl Shared {
    /// `None` without the privilege to change owners.
    fn new() -> Option<Shared> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files to another user");
            return None;
        }
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        fs::create_dir(dir.path().join("shared")).unwrap();
        fs::set_permissions(dir.path().join("shared"), PermissionsExt::from_mode(0o1777)).unwrap();
        let shared = Shared { dir };
        fs::write(shared.victim(), "precious").unwrap();
        fs::set_permissions(shared.victim(), PermissionsExt::from_mode(0o600)).unwrap();
        Some(shared)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("shared").join(name)
    }

    fn victim(&self) -> PathBuf {
        self.dir.path().join("victim")
    }

    /// Creates `foreign` at `name`, owned by the other user.
    fn create(&self, foreign: ForeignFile, name: &str) -> PathBuf {
        let path = self.path(name);
        let _ = fs::remove_file(&path);
        match foreign {
            ForeignFile::Link => symlink(self.victim(), &path).unwrap(),
            ForeignFile::HardLink => {
                return fs::hard_link(self.victim(), &path).map(|()| path).unwrap();
            }
            ForeignFile::Fifo => {
                mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
            }
            ForeignFile::File => {
                fs::write(&path, "theirs").unwrap();
                fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
            }
        }
        lchown(&path, Some(OTHER_USER), None).unwrap();
        path
    }

    /// Checks that the run failed and that no file has changed.
    #[track_caller]
    fn assert_refused(&self, run: &Run, foreign: ForeignFile, path: &Path) {
        run.exits(23).fails_at("file").logs(&path.display().to_string()).logs(foreign.reason());
        assert_eq!(fs::read(self.victim()).unwrap(), b"precious", "{foreign:?}");
        assert_eq!(fs::metadata(self.victim()).unwrap().permissions().mode() & 0o7777, 0o600);
        if foreign == ForeignFile::File {
            assert_eq!(fs::read(path).unwrap(), b"theirs");
        }
    }
}

/// What the other user creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForeignFile {
    Link,
    HardLink,
    Fifo,
    File,
}

impl ForeignFile {
    const ALL: [ForeignFile; 4] =
        [ForeignFile::Link, ForeignFile::HardLink, ForeignFile::Fifo, ForeignFile::File];

    fn reason(self) -> &'static str {
        match self {
            ForeignFile::Link => "symbolic link",
            ForeignFile::HardLink => "hard link",
            ForeignFile::Fifo => "",
            ForeignFile::File => "another user",
        }
    }
}

#[cfg(feature = "http")]
fn save(server: &Origin, flags: &str, path: &Path) -> Run {
    server.get(flags).arg("-o").arg(path).run()
}

#[cfg(feature = "http")]
#[test]
fn part_file_of_another_user_is_refused_before_writing() {
    let Some(shared) = Shared::new() else { return };
    let target = shared.path("f");
    for foreign in ForeignFile::ALL {
        let part = shared.create(foreign, "f.part");
        for flags in ["-q", "-q --continue", "-q --keep-partial", "-q --raw", "-q --range 0-2"] {
            let run = save(&origin([ok("evil")]), flags, &target);
            shared.assert_refused(&run, foreign, &part);
            assert!(!target.exists(), "{foreign:?} {flags}");
        }
    }
}

#[cfg(feature = "http")]
#[test]
fn continue_never_copies_to_part_file_of_another_user() {
    let Some(shared) = Shared::new() else { return };
    let target = shared.path("f");
    fs::write(&target, "01234").unwrap();
    let rest = "HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789";
    for foreign in ForeignFile::ALL {
        let part = shared.create(foreign, "f.part");
        let run = save(&origin([rest]), "-q --continue", &target);
        shared.assert_refused(&run, foreign, &part);
        assert_eq!(fs::read(&target).unwrap(), b"01234");
    }
}

#[cfg(feature = "http")]
#[test]
fn new_part_file_of_another_user_is_refused() {
    let Some(shared) = Shared::new() else { return };
    fs::write(shared.path("f.part"), "a longer part").unwrap();
    for foreign in ForeignFile::ALL {
        let new = shared.create(foreign, "f.part.new");
        let run = save(&origin([ok("evil")]), "-q --continue", &shared.path("f"));
        shared.assert_refused(&run, foreign, &new);
        assert_eq!(fs::read(shared.path("f.part")).unwrap(), b"a longer part");
    }
}

#[cfg(feature = "http")]
#[test]
fn validators_of_foreign_file_are_not_trusted() {
    use rustix::fs::{XattrFlags, setxattr};
    let Some(shared) = Shared::new() else { return };
    for (name, attribute, value) in [
        ("f", "user.sockit.complete", "6 \"1\""),
        ("f", "user.sockit.validator", "\"1\""),
        ("f.part", "user.sockit.validator", "\"1\""),
    ] {
        let path = shared.create(ForeignFile::File, name);
        if setxattr(&path, attribute, value.as_bytes(), XattrFlags::empty()).is_err() {
            eprintln!("skipped: no extended attributes here");
            return;
        }
        let same = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";
        let server = origin([same]);
        let run = save(&server, "-q --continue", &shared.path("f"));
        shared.assert_refused(&run, ForeignFile::File, &path);
        assert!(server.requests().is_empty(), "a request has the foreign validator");
        fs::remove_file(&path).unwrap();
    }
}

#[cfg(feature = "http")]
#[test]
fn foreign_link_or_fifo_as_output_is_refused() {
    let Some(shared) = Shared::new() else { return };
    for foreign in [ForeignFile::Link, ForeignFile::Fifo] {
        let path = shared.create(foreign, "f");
        for flags in ["-q", "-q --raw", "-q --keep-partial"] {
            shared.assert_refused(&save(&origin([ok("evil")]), flags, &path), foreign, &path);
        }
    }
}

#[cfg(feature = "http")]
#[test]
fn file_that_replaces_a_foreign_one_belongs_to_the_run() {
    use std::os::unix::fs::MetadataExt;
    let Some(shared) = Shared::new() else { return };
    let path = shared.create(ForeignFile::File, "f");
    save(&origin([ok("new")]), "-q", &path).exits(0);
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (0, 0o644));
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

/// Each flag that names a file to write.
fn writers(path: &Path) -> Vec<(&'static str, Sockit)> {
    let client =
        |flag: &str| sockit("tcp-client --send x").and(flag).arg(path).to(peer::echoes().addr());
    let folder = path.parent().unwrap();
    vec![
        ("--output", client("--output")),
        ("--hex", client("--hex")),
        ("--events", client("--events")),
        ("man", sockit("man resolve --out-dir").arg(folder)),
    ]
}

#[test]
fn foreign_file_is_written_by_no_flag() {
    let Some(shared) = Shared::new() else { return };
    for foreign in ForeignFile::ALL {
        let path = shared.create(foreign, "sockit-resolve.1");
        for (flag, run) in writers(&path) {
            eprintln!("{foreign:?} {flag}");
            shared.assert_refused(&run.run(), foreign, &path);
        }
    }
}

#[test]
fn own_links_and_files_are_written_in_a_shared_directory() {
    let Some(shared) = Shared::new() else { return };
    let path = shared.path("sockit-resolve.1");
    symlink(shared.victim(), &path).unwrap();
    for link in [true, false] {
        for (flag, run) in writers(&path) {
            run.run().exits(0);
            let written = fs::read_to_string(&path).unwrap();
            assert!(!written.is_empty() && written != "precious", "{flag} {link}");
        }
        fs::remove_file(&path).unwrap();
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_secrets_are_not_written_to_a_foreign_file() {
    let Some(shared) = Shared::new() else { return };
    for foreign in ForeignFile::ALL {
        let path = shared.create(foreign, "keys");
        let run = sockit("tcp-client --tls --insecure 127.0.0.1 1");
        let run = run.env("SSLKEYLOGFILE", path.to_str().unwrap()).run();
        shared.assert_refused(&run, foreign, &path);
    }
}
