//! Apache with a private configuration, which encodes on the fly.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::web_servers::{Server, body};
use crate::support::peer::{free_port, program};
use crate::support::sockit::sockit;

/// The path of its modules on Debian.
const MODULES: &str = "/usr/lib/apache2/modules";

fn apache() -> Option<Server> {
    // Debian installs it in a folder that only root's PATH has.
    let mut command = match Path::new("/usr/sbin/apache2") {
        there if there.exists() => Command::new(there),
        _ => program("apache2")?,
    };
    let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
    let home = dir.path().display().to_string();
    fs::create_dir(dir.path().join("docs")).unwrap();
    fs::write(dir.path().join("docs/page.html"), body(200_000)).unwrap();
    fs::write(dir.path().join("docs/big"), body(3 << 20)).unwrap();
    let modules = ["mpm_event", "authz_core", "mime", "filter", "deflate", "brotli", "alias"];
    let modules = modules.map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"));
    // As root it needs a user to change to, who must be able to read the files.
    let conf = format!(
        "{modules}
         ServerRoot {home}
         ServerName localhost
         Listen 127.0.0.1:{port}
         PidFile {home}/pid
         ErrorLog {home}/errors
         Mutex posixsem
         User www-data
         Group www-data
         DocumentRoot {home}/docs
         TypesConfig /dev/null
         AddType text/html .html
         <Directory {home}/docs>
           Require all granted
         </Directory>
         <Location /br>
           SetOutputFilter BROTLI_COMPRESS
         </Location>
         <Location /gzip>
           SetOutputFilter DEFLATE
         </Location>
         Alias /br {home}/docs
         Alias /gzip {home}/docs
         Redirect 302 /away /page.html
         Redirect gone /gone\n",
        modules = modules.concat()
    );
    fs::write(dir.path().join("conf"), conf).unwrap();
    open_to_all(dir.path());
    command.args(["-X", "-d", &home, "-f", &format!("{home}/conf")]);
    Some(Server::start(command, port, dir))
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn apache_plain_encoded_range_and_redirect() {
    let Some(server) = apache() else { return };
    let run = sockit("http-get -q").arg(server.url("/big")).run();
    run.exits(0);
    assert!(run.stdout == body(3 << 20));
    for coding in ["br", "gzip"] {
        let run = sockit("http-get").arg(server.url(&format!("/{coding}/page.html"))).run();
        run.exits(0).logs(&format!("Content-Encoding: {coding}"));
        assert!(run.stdout == body(200_000), "{coding}");
    }
    let run = sockit("http-get -q --range 100-199").arg(server.url("/big")).run();
    run.exits(0).prints(&body(3 << 20)[100..200]);
    let run = sockit("http-get").arg(server.url("/away")).run();
    run.exits(0).logs("302 Found");
    assert!(run.stdout == body(200_000));
    sockit("http-get -q").arg(server.url("/gone")).run().exits(22);
    sockit("http-get -q -I").arg(server.url("/big")).run().exits(0).prints("");
}

#[test]
fn apache_continues_a_part() {
    let Some(server) = apache() else { return };
    let target = server.file("copy");
    let run = sockit("http-get -q --range 0-99999 -o").arg(&target).arg(server.url("/big")).run();
    run.exits(0);
    fs::rename(&target, server.file("copy.part")).unwrap();
    sockit("http-get -q --continue -o").arg(&target).arg(server.url("/big")).run().exits(0);
    assert!(fs::read(&target).unwrap() == body(3 << 20));
}
