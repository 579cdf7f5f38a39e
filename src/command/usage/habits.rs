//! netcat habits: the command line that sockit would have for what was typed.

use clap::Arg;

use super::letters::Wish;
use crate::command::help;

/// What is typed before netcat's letters.
const NETCATS: [&str; 3] = ["nc", "ncat", "netcat"];

/// Whether netcat itself is named: `sockit nc -l 9999`.
pub fn names_netcat(words: &[String]) -> bool {
    words.get(1).is_some_and(|word| NETCATS.contains(&word.as_str()))
}

/// The sockit line for a netcat one (`-l 9999`, `-zv host 80`, `host 80`), or for a command of
/// ours with netcat's letters (`tcp-client -z host 80`); `None` where there is no telling.
pub fn line(words: &[String]) -> Option<String> {
    let typed = words.get(1..)?;
    let typed = &typed[usize::from(names_netcat(words))..];
    let whole = help::built();
    let command = typed.first().and_then(|first| whole.find_subcommand(first));
    let mut wish = match command.map(clap::Command::get_name) {
        None => Wish::default(),
        Some("tcp-client") => Wish::default(),
        Some("tcp-server") => Wish { listen: true, ..Wish::default() },
        Some("udp-client") => Wish { udp: true, ..Wish::default() },
        Some("udp-server" | "udp-echo") => Wish { listen: true, udp: true, ..Wish::default() },
        Some("unix-client") => Wish { unix: true, ..Wish::default() },
        Some("unix-server") => Wish { listen: true, unix: true, ..Wish::default() },
        // curl's, dig's and getent's letters are another matter.
        Some(_) => return None,
    };
    let own: Vec<&Arg> = command.into_iter().flat_map(clap::Command::get_arguments).collect();
    let mut rest = &typed[usize::from(command.is_some())..];
    while let Some((word, more)) = rest.split_first() {
        let used = take(&mut wish, &own, word, more.first().map(String::as_str))?;
        rest = &more[usize::from(used && !more.is_empty())..];
    }
    let line = compose(wish)?;
    Some(match command.map(clap::Command::get_name) {
        Some("udp-echo") => line.replacen("udp-server", "udp-echo", 1),
        _ => line,
    })
}

/// Takes one word; whether the one behind it was its value.
fn take(wish: &mut Wish, own: &[&Arg], word: &str, next: Option<&str>) -> Option<bool> {
    if !word.starts_with('-') || word == "-" {
        wish.words.push(word.to_string());
        return Some(false);
    }
    let Some(known) = own.iter().find(|arg| is(arg, word)) else { return wish.take(word, next) };
    wish.flags.push(word.to_string());
    let takes = known.get_action().takes_values() && !word.contains('=');
    if let Some(value) = next.filter(|_| takes) {
        wish.flags.push(value.to_string());
    }
    Some(takes)
}

/// Whether a word is this flag of ours.
fn is(arg: &Arg, word: &str) -> bool {
    let long = word.strip_prefix("--").and_then(|word| word.split('=').next());
    let short = word.strip_prefix('-').filter(|rest| rest.chars().count() == 1);
    match long {
        Some(long) => arg.get_long() == Some(long),
        None => {
            short.is_some_and(|short| arg.get_short().map(String::from).as_deref() == Some(short))
        }
    }
}

fn compose(mut wish: Wish) -> Option<String> {
    if let [url] = wish.words.as_slice()
        && url.contains("://")
    {
        return Some(format!("sockit http-get {}", quoted(url)?));
    }
    let mut line = match wish.listen {
        true => server(&mut wish)?,
        false => client(&mut wish)?,
    };
    line.append(&mut wish.flags);
    let quoted: Option<Vec<String>> = line.iter().map(|word| quoted(word)).collect();
    let redirect = if wish.scan && !wish.listen { " < /dev/null" } else { "" };
    Some(format!("sockit {}{redirect}", quoted?.join(" ")))
}

fn server(wish: &mut Wish) -> Option<Vec<String>> {
    let mut line = Line::default();
    let named = wish.flags.iter().any(|flag| {
        ["--service", "-s", "--exec", "--sh", "--reply", "--greeting", "--file"]
            .contains(&flag.as_str())
    });
    match (wish.unix, wish.udp) {
        (true, _) => line.word("unix-server").words(wish.words.first()),
        (_, udp) => {
            let mut words = std::mem::take(&mut wish.words);
            let port = wish.port.take().or_else(|| words.pop());
            line.word(if udp { "udp-server" } else { "tcp-server" })
                .pair("--host", words.pop())
                .pair("--port", port)
        }
    };
    match wish.run.take() {
        Some((shell, command)) => line.pair(if shell { "--sh" } else { "--exec" }, Some(command)),
        None if named || wish.udp => &mut line,
        None => line.pair("--service", Some("pipe".to_string())),
    };
    line.pair("--idle-timeout", wish.wait.take().filter(|_| !wish.udp));
    Some(line.0)
}

fn client(wish: &mut Wish) -> Option<Vec<String>> {
    let mut line = Line::default();
    let (command, patience) = match (wish.unix, wish.udp) {
        (true, _) => ("unix-client", "--idle-timeout"),
        (_, true) => ("udp-client", "--wait"),
        _ if wish.scan => ("tcp-client", "--connect-timeout"),
        _ => ("tcp-client", "--idle-timeout"),
    };
    line.word(command).words(&wish.words);
    if wish.words.len() > 2 || (wish.unix && wish.words.is_empty()) {
        return None;
    }
    if wish.scan && !wish.udp {
        line.word("--hang-up");
    }
    let scheme = if wish.proxy_is_http { "http" } else { "socks5" };
    line.pair(patience, wish.wait.take())
        .pair(
            "--proxy",
            wish.proxy.take().map(|proxy| match proxy.contains("://") {
                true => proxy,
                false => format!("{scheme}://{proxy}"),
            }),
        )
        .pair("--source", wish.port.take().map(|port| format!("0.0.0.0:{port}")));
    Some(line.0)
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn word(&mut self, word: &str) -> &mut Line {
        self.0.push(word.to_string());
        self
    }

    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a String>) -> &mut Line {
        self.0.extend(words.into_iter().cloned());
        self
    }

    fn pair(&mut self, flag: &str, value: Option<String>) -> &mut Line {
        if let Some(value) = value {
            self.0.extend([flag.to_string(), value]);
        }
        self
    }
}

fn quoted(word: &str) -> Option<String> {
    shlex::try_quote(word).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(typed: &str) -> Option<String> {
        let words = shlex::split(&format!("sockit {typed}")).unwrap();
        line(&words)
    }

    #[test]
    fn the_commonest_habits_become_a_line_of_ours() {
        for (typed, ours) in [
            ("-l 9999", "tcp-server --port 9999 --service pipe"),
            ("-l -p 9999", "tcp-server --port 9999 --service pipe"),
            ("-lvnp 9999", "tcp-server --port 9999 --service pipe -v"),
            ("-lk 9999", "tcp-server --port 9999 --service pipe"),
            ("-l 127.0.0.1 9999", "tcp-server --host 127.0.0.1 --port 9999 --service pipe"),
            ("-u localhost 53", "udp-client localhost 53"),
            ("-u -w 1 localhost 53", "udp-client localhost 53 --wait 1"),
            ("-ul 9999", "udp-server --port 9999"),
            ("-zv localhost 22", "tcp-client localhost 22 --hang-up -v < /dev/null"),
            (
                "-z -w3 localhost 22",
                "tcp-client localhost 22 --hang-up --connect-timeout 3 < /dev/null",
            ),
            ("-l -e /bin/cat 9999", "tcp-server --port 9999 --exec /bin/cat"),
            ("-l -c 'date; cat' 9999", "tcp-server --port 9999 --sh 'date; cat'"),
            ("-U /tmp/s", "unix-client /tmp/s"),
            ("-lU /tmp/s", "unix-server /tmp/s --service pipe"),
            ("-w 5 localhost 80", "tcp-client localhost 80 --idle-timeout 5"),
            ("-N localhost 80", "tcp-client localhost 80"),
            ("-q 1 localhost 80", "tcp-client localhost 80"),
            (
                "-x proxy:1080 example.com 80",
                "tcp-client example.com 80 --proxy socks5://proxy:1080",
            ),
            ("-X connect -x p:3128 h 80", "tcp-client h 80 --proxy http://p:3128"),
            ("--ssl example.com 443", "tcp-client example.com 443 --tls"),
            ("-v localhost 80", "tcp-client localhost 80 -v"),
            ("localhost 80", "tcp-client localhost 80"),
            ("nc -l 9999", "tcp-server --port 9999 --service pipe"),
            ("-p 5000 localhost 80", "tcp-client localhost 80 --source 0.0.0.0:5000"),
            ("http://example.com/", "http-get http://example.com/"),
            ("tcp-client -z localhost 22", "tcp-client localhost 22 --hang-up < /dev/null"),
            ("tcp-client --send hi -u localhost 53", "udp-client localhost 53 --send hi"),
            ("tcp-server -l --port 9999", "tcp-server --service pipe --port 9999"),
            ("tcp-server -k --port 9999 -s echo", "tcp-server --port 9999 -s echo"),
            ("udp-echo 7", "udp-echo --port 7"),
        ] {
            assert_eq!(meant(typed), Some(format!("sockit {ours}")), "{typed}");
        }
    }

    #[test]
    fn what_no_netcat_knows_is_left_alone() {
        for typed in ["--frobnicate", "-j 3", "resolve -t mx example.com", "a b c d"] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }
}
