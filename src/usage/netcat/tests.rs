//! Lines of netcat and the sockit lines that are run for them.

use clap::CommandFactory;

use super::*;
use crate::usage::is_valid_line;

fn translated(line: &str) -> NetcatLine {
    translate(&shlex::split(line).unwrap()).unwrap_or_else(|failure| panic!("{line}: {failure}"))
}

fn sockit_line(line: &str) -> String {
    shlex::try_join(translated(line).words.iter().map(String::as_str)).unwrap()
}

#[test]
fn lines_become_lines_of_sockit() {
    let mut cli = crate::command::Cli::command();
    cli.build();
    for (line, expected) in [
        ("h 80", "tcp-client h 80 --proxy '' --no-prompt --connect-timeout 0s"),
        ("-Nv h 80", "tcp-client h 80 --proxy '' --no-prompt --connect-timeout 0s --half-close"),
        (
            "-w 2 h 80",
            "tcp-client h 80 --proxy '' --no-prompt --connect-timeout 2s --linger 1m \
             --input-timeout 2s --idle-timeout 1m2s",
        ),
        (
            "h 80 -q 90",
            "tcp-client h 80 --proxy '' --no-prompt --connect-timeout 0s --half-close --linger \
             1m30s",
        ),
        ("-q -1 h 80", "tcp-client h 80 --proxy '' --no-prompt --connect-timeout 0s"),
        (
            "-s 127.0.0.2 -p 99 -G 3 h 80",
            "tcp-client h 80 --source 127.0.0.2:99 --proxy '' --no-prompt --connect-timeout 3",
        ),
        (
            "-s localhost -p http h 80",
            "tcp-client h 80 --source 127.0.0.1:80 --proxy '' --no-prompt --connect-timeout 0s",
        ),
        (
            "-x p:1 -X 5 -C h 80",
            "tcp-client h 80 --proxy socks5h://p:1 --no-prompt --connect-timeout 0s --crlf",
        ),
        ("-lk 80", "tcp-server --host 0.0.0.0 --port 80 --service pipe '--exit-on-eof=1s'"),
        (
            "-6l -d 80",
            "tcp-server --host :: --port 80 --service pipe '--exit-on-eof=10s' --once -6 \
             --recv-only",
        ),
        ("-lp 80 -c date", "tcp-server --host 0.0.0.0 --port 80 --sh date --once"),
        (
            "-lk 80 -e /bin/cat --allow a,b --denyfile f",
            "tcp-server --host 0.0.0.0 --port 80 --allow a --allow b --deny @f --exec /bin/cat",
        ),
        ("-l --chat 80", "tcp-server --host 0.0.0.0 --port 80 --service chat"),
        ("-U s", "unix-client s --no-prompt --connect-timeout 0s"),
        ("-lU s", "unix-server s --service pipe '--exit-on-eof=10s' --once"),
        ("-u -T lowdelay h 53", "udp-client h 53 --tos lowdelay"),
        ("-ul 53", "udp-server --host 0.0.0.0 --port 53"),
        ("-uU s", "unix-client s --datagram"),
        ("-z h 20-25 80", "check 'h:20-25,80' --proxy ''"),
        ("-zu ::1 53", "check 'udp:[::1]:53'"),
    ] {
        let expected = format!("sockit {expected}");
        assert_eq!(sockit_line(line), expected, "{line}");
        assert!(is_valid_line(&cli, &expected), "{expected}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn ssl_verifies_only_on_request() {
    let tls = |line| sockit_line(line).split_once("0s ").map(|(_, tls)| tls.to_string());
    let unverified = "--insecure --allow-truncation --tls";
    assert_eq!(tls("--ssl h 443").as_deref(), Some(unverified));
    let verified = "--allow-truncation --tls";
    assert_eq!(tls("--ssl --ssl-verify h 443").as_deref(), Some(verified));
    let trusted = "--allow-truncation --tls --ca-file f";
    assert_eq!(tls("--ssl --ssl-trustfile f h 443").as_deref(), Some(trusted));
}

#[test]
fn datagrams_are_waited_for_as_long_as_was_asked() {
    let datagrams = |line| match translated(line).mode {
        NetcatMode::Datagrams(datagrams) => datagrams,
        other => panic!("{line}: {other:?}"),
    };
    let waits = datagrams("-u -w 2 h 53");
    assert_eq!((waits.idle, waits.wait), (Some(Duration::from_secs(2)), waits.idle));
    assert!(!waits.send_only && waits.reads_stdin);
    assert!(datagrams("-u -q0 h 53").send_only && datagrams("-uw0 h 53").send_only);
    let receives = datagrams("-lu -d -C 53");
    assert!(!receives.reads_stdin && receives.crlf && receives.wait.is_none());
}

#[test]
fn malformed_lines_are_usage_errors() {
    for line in ["", "h", "-l", "h 80 81", "h 80-90", "-K h 80", "-w", "-w x h 80", "-U", "-t h 23"]
    {
        let failure = translate(&shlex::split(line).unwrap()).unwrap_err();
        assert_eq!(failure.code, crate::error::ExitCode::Usage, "{line}: {failure}");
    }
}
