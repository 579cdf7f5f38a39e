//! Suggestions for command lines of each tool.

use clap::CommandFactory;

use super::super::is_valid_line;
use super::*;
#[cfg(all(feature = "http", feature = "tls"))]
use crate::usage::other_tools::ALL;

fn cli() -> Command {
    let mut cli = crate::command::Cli::command();
    cli.build();
    cli
}

fn suggested(typed: &str) -> Option<Suggestion> {
    suggest(&cli(), &shlex::split(&format!("sockit {typed}")).unwrap())
}

/// Checks that each typed line becomes the expected one, and that sockit accepts that.
#[track_caller]
fn become_lines(table: &[(&str, &str)]) {
    for (typed, expected) in table {
        assert_eq!(
            suggested(typed),
            Some(Suggestion::Line(format!("sockit {expected}"))),
            "{typed}"
        );
        assert!(is_valid_line(&cli(), &format!("sockit {expected}")), "{expected}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn netcat_lines_become_sockit_lines() {
    become_lines(&[
        ("-l 9999", "tcp-server --port 9999 --service pipe"),
        ("-l -p 9999", "tcp-server --port 9999 --service pipe"),
        ("-l -s 127.0.0.1 -p 9999", "tcp-server --host 127.0.0.1 --port 9999 --service pipe"),
        ("-lvnp 9999", "tcp-server --port 9999 --service pipe -v"),
        ("-lk 9999", "tcp-server --port 9999 --service pipe"),
        ("-l 127.0.0.1 9999", "tcp-server --host 127.0.0.1 --port 9999 --service pipe"),
        ("ncat -l --chat 9999", "tcp-server --port 9999 --service chat"),
        ("-u localhost 53", "udp-client localhost 53"),
        ("-u -w 1 localhost 53", "udp-client localhost 53 --wait 1"),
        ("-u -w0 localhost 53", "udp-client localhost 53 --send-only"),
        ("-u -q0 localhost 53", "udp-client localhost 53 --send-only"),
        ("-u -q1 localhost 53", "udp-client localhost 53 --wait 1"),
        ("-w0 localhost 80", "tcp-client localhost 80 --send-only"),
        ("-q0 localhost 80", "tcp-client localhost 80 --hang-up"),
        ("-ub 192.0.2.255 53", "udp-client 192.0.2.255 53 --broadcast"),
        ("-b localhost 80", "tcp-client localhost 80"),
        ("-ul 9999", "udp-server --port 9999"),
        ("-zv localhost 22", "check localhost:22 -v"),
        ("-z -w3 h 22", "check h:22 --timeout 3"),
        ("-zw0 localhost 22", "check localhost:22"),
        ("-zvu localhost 53", "check udp:localhost:53 -v"),
        ("-zu -w 2 localhost 53", "check udp:localhost:53 --timeout 2"),
        ("-z localhost 20-25", "check localhost:20-25"),
        ("-nvz localhost 22 80 8000-8010", "check 'localhost:22,80,8000-8010' -v"),
        ("localhost 20-25", "check localhost:20-25"),
        ("-z ::1 22", "check '[::1]:22'"),
        ("-zU /tmp/s", "check unix:/tmp/s"),
        ("-z -x p:1080 h 22", "check h:22 --proxy socks5h://p:1080"),
        ("-z -s 127.0.0.2 h 22", "check h:22 --source 127.0.0.2"),
        ("-z --ssl h 443", "check h:443 --tls"),
        ("-z --cacert f h 443", "check h:443 --ca-file f --tls"),
        ("check -z -w 3 h 22", "check h:22 --timeout 3"),
        ("check -u h 53", "check udp:h:53"),
        ("-l -e /bin/cat 9999", "tcp-server --port 9999 --exec /bin/cat"),
        ("-l -c 'date; cat' 9999", "tcp-server --port 9999 --sh 'date; cat'"),
        ("-U /tmp/s", "unix-client /tmp/s"),
        ("-lU /tmp/s", "unix-server /tmp/s --service pipe"),
        ("-w 5 localhost 80", "tcp-client localhost 80 --idle-timeout 5"),
        ("-N localhost 80", "tcp-client localhost 80"),
        ("-q 1 localhost 80", "tcp-client localhost 80"),
        ("-x p:1080 example.com 80", "tcp-client example.com 80 --proxy socks5h://p:1080"),
        ("-X connect -x p:3128 h 80", "tcp-client h 80 --proxy http://p:3128"),
        ("ncat --proxy a:1 h 80", "tcp-client h 80 --proxy http://a:1"),
        ("--proxy a:1 --proxy-type socks5 h 80", "tcp-client h 80 --proxy socks5h://a:1"),
        ("--proxy a:1 --proxy-auth u:p h 80", "tcp-client h 80 --proxy http://u:p@a:1"),
        ("--ssl example.com 443", "tcp-client example.com 443 --tls"),
        ("--sni n h 443", "tcp-client h 443 --server-name n --tls"),
        ("tcp-client --cacert f h 443", "tcp-client h 443 --ca-file f --tls"),
        ("tcp-client --no-check-certificate h 443", "tcp-client h 443 --insecure --tls"),
        ("tcp-client --tls --sni n h 443", "tcp-client h 443 --tls --server-name n"),
        ("tcp-client --max-time 3 h 80", "tcp-client h 80 --timeout 3"),
        ("-v localhost 80", "tcp-client localhost 80 -v"),
        ("tcp-client --keepalive 30s h 80", "tcp-client h 80 '--keepalive=30s'"),
        ("localhost 80", "tcp-client localhost 80"),
        ("nc.openbsd -l 9999", "tcp-server --port 9999 --service pipe"),
        ("busybox nc -l 9999", "tcp-server --port 9999 --service pipe"),
        ("ncat --send-only h 80", "tcp-client h 80 --send-only"),
        ("-p 5000 localhost 80", "tcp-client localhost 80 --source 0.0.0.0:5000"),
        ("-s 127.0.0.2 -p 5000 h 80", "tcp-client h 80 --source 127.0.0.2:5000"),
        ("-s 127.0.0.2 h 80", "tcp-client h 80 --source 127.0.0.2"),
        ("-s ::1 -p 5000 ::1 80", "tcp-client ::1 80 --source '[::1]:5000'"),
        ("-6 -p 5000 localhost 80", "tcp-client localhost 80 --source '[::]:5000' -6"),
        ("http://example.com/", "http-get http://example.com/"),
        ("tcp-client -l 9999", "tcp-server --port 9999 --service pipe"),
        ("udp-client -lp 9999", "udp-server --port 9999"),
        ("tcp-client h 80 -q 0", "tcp-client h 80 --hang-up"),
        ("tcp-client -q h 80 -w 5", "tcp-client h 80 --idle-timeout 5 -q"),
        ("tcp-client -z localhost 22", "check localhost:22"),
        ("tcp-client --send hi -u localhost 53", "udp-client localhost 53 --send hi"),
        ("tcp-server -l --port 9999", "tcp-server --service pipe --port 9999"),
        ("tcp-server 9999", "tcp-server --port 9999"),
        ("tcp-server -u --port 9999", "udp-server --port 9999"),
        ("tcp-server --cert x --port 9999", "tcp-server --cert x --port 9999 --tls"),
        ("tcp-server -k --port 9999 -s echo", "tcp-server --port 9999 -s echo"),
        ("udp-echo 7", "udp-echo --port 7"),
        ("wait localhost:80", "check localhost:80 --wait 60"),
        ("wait localhost 80", "check localhost:80 --wait 60"),
        ("wait-for-it db:5432 -t 30 -- ./run -x", "check db:5432 --wait 30 -- ./run -x"),
        ("telnet h", "tcp-client h 23 --crlf"),
        ("telnet h 25", "tcp-client h 25 --crlf"),
    ]);
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn curl_and_wget_lines_become_sockit_lines() {
    become_lines(&[
        ("curl http://x", "http-get http://x"),
        ("curl -fsSL https://x/y -o f", "http-get https://x/y -q --output f"),
        ("curl --proto '=https' --tlsv1.2 -sSf https://x", "http-get https://x -q"),
        ("curl -fO x/y", "http-get x/y --remote-name"),
        ("curl -I x", "http-get x --head"),
        ("curl -X HEAD x", "http-get x --head"),
        ("curl -H 'A: b' -A me x", "http-get x --header 'A: b' --header 'User-Agent: me'"),
        ("curl --output=f -C - x", "http-get x --continue '--output=f'"),
        ("curl -x p:3128 x", "http-get x --proxy http://p:3128"),
        ("curl --socks5-hostname p:1 x", "http-get x --proxy socks5h://p:1"),
        ("curl telnet://h:7", "tcp-client h:7"),
        ("http-get -k https://h/", "http-get https://h/ --insecure"),
        ("http-get --fail x", "http-get x"),
        ("http-get --max-time 3 x", "http-get x --timeout 3"),
        ("http-get --cacert f x", "http-get x --ca-file f"),
        ("http-get --no-check-certificate x", "http-get x --insecure"),
        ("wget x/y", "http-get x/y --remote-name"),
        ("wget -qO- x/y", "http-get x/y -q --output -"),
        ("wget -c -t 3 x/y", "http-get x/y --remote-name --retry 2 --continue"),
        ("wget --no-check-certificate --spider https://x", "http-get https://x --insecure --head"),
        ("busybox wget x/y", "http-get x/y --remote-name"),
    ]);
}

#[test]
fn dig_and_host_lines_become_sockit_lines() {
    become_lines(&[
        ("dig example.com", "resolve example.com --via dns"),
        ("dig +short example.com", "resolve example.com --via dns"),
        ("dig @192.0.2.1 example.com MX", "resolve example.com --server 192.0.2.1 --type mx"),
        ("dig example.com IN TXT @192.0.2.1", "resolve example.com --server 192.0.2.1 --type txt"),
        ("dig -p 5353 @::1 x", "resolve x --server '[::1]:5353'"),
        ("dig -t aaaa x +tcp +time=2", "resolve x --type aaaa --tcp --timeout 2"),
        ("dig -x 192.0.2.1", "resolve 192.0.2.1 --via dns"),
        ("resolve @127.0.0.1 x", "resolve x --server 127.0.0.1"),
        ("resolve -x 127.0.0.1", "resolve 127.0.0.1"),
        ("resolve -t mx x", "resolve x --type mx"),
        ("resolve +short x", "resolve x"),
        ("host x", "resolve x --via dns"),
        ("host -t ns x 192.0.2.1", "resolve x --server 192.0.2.1 --type ns"),
        ("nslookup -type=mx x", "resolve x --type mx"),
    ]);
}

#[test]
fn missing_feature_is_named() {
    for (typed, part) in [
        ("-e /bin/sh localhost 80", "run by a client"),
        ("-X 4 -x p:1 h 80", "SOCKS 4"),
        ("tcp-client --starttls smtp h 25", "STARTTLS"),
        ("curl -d x=1 http://x", "body"),
        ("curl -X POST http://x", "GET and HEAD"),
        ("curl ftp://x/y", "http and https"),
        ("wget -r http://x", "downloads"),
        ("dig +trace x", "root servers"),
        ("socat TCP-LISTEN:1 TCP:h:2", "addresses"),
        ("openssl s_client -connect h:443", "tcp-client --tls"),
        ("ping localhost", "ICMP"),
    ] {
        match suggested(typed) {
            Some(Suggestion::Unsupported(why)) => assert!(why.contains(part), "{typed}: {why}"),
            other => panic!("{typed}: {other:?}"),
        }
    }
}

#[test]
fn line_unknown_to_all_tools_has_no_suggestion() {
    for typed in
        ["--frobnicate", "-j 3", "a b c d", "ssh h", "curl --frobnicate x", "dig +frobnicate x"]
    {
        assert_eq!(suggested(typed), None, "{typed}");
    }
}

/// A line of `tool` that is right but for the flag that is to be tried.
#[cfg(all(feature = "http", feature = "tls"))]
fn line_with(tool: &Tool, flag: &str, value: &str) -> String {
    let value = if flag.ends_with('=') { format!(" {value}") } else { String::new() };
    let flag = flag.trim_end_matches('=');
    let rest = match (tool.operands, flag) {
        (Operands::Connection, "-m" | "--max-conns" | "--chat" | "--broker") => "-l 80",
        (Operands::Connection, "-b") => "-u h 80",
        (Operands::Connection, "--ssl-key") => "h 80 --ssl-cert c",
        (Operands::Downloads, "--private-key") => "h --certificate c",
        (Operands::Connection, "-U" | "--unixsock") => "/tmp/s",
        (Operands::Connection | Operands::Telnet | Operands::Wait, _) => "h 80",
        _ => "example.com",
    };
    format!("{} {rest} {flag}{value}", tool.names[0])
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn every_flag_of_the_tables_becomes_a_valid_line() {
    let mut wrong = Vec::new();
    for tool in ALL {
        for flag in tool.rows().flat_map(|(names, _)| names.split(' ')) {
            let value = match flag.trim_end_matches('=') {
                "-H" => "A:1",
                "-X" if tool.operands == Operands::Connection => "5",
                "-X" | "--request" => "GET",
                "-C" | "--continue-at" => "-",
                "-s" | "--source" | "--bind-address" => "127.0.0.1",
                "-t" | "-type" | "-query" | "-querytype" | "-q" if tool.command() == "resolve" => {
                    "a"
                }
                "-u" => "a:b",
                "-x" => "192.0.2.1",
                "-r" => "0-1",
                _ => "1",
            };
            // Flags that other commands of sockit are still to get.
            // And flags that sockit itself has.
            if ["--limit-rate=", "--unix-socket=", "-h", "--help", "-V="].contains(&flag) {
                continue;
            }
            let typed = line_with(tool, flag, value);
            match suggested(&typed) {
                Some(Suggestion::Line(line)) if is_valid_line(&cli(), &line) => {}
                Some(Suggestion::Unsupported(_)) => {}
                other => wrong.push((typed, other)),
            }
        }
    }
    assert_eq!(wrong, []);
}
