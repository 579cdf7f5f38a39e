//! Lines of dig, host and nslookup.

use crate::resolver::dns::RecordType;
use crate::usage::foreign_args::ForeignArgs;
use crate::usage::line_parts::{Words, has, host_port, push_flag, words};
use crate::usage::meaning::Setting;
use crate::usage::other_tools::Operands;

/// The line for a query.
///
/// dig and its like query name servers only, and take types and classes between the names.
pub fn query(args: &mut ForeignArgs, operands: Operands) -> Words {
    let mut server = None;
    let mut names = Vec::new();
    for word in std::mem::take(&mut args.operands) {
        // After a name, dig takes a word without a dot for a type.
        let follows_name =
            operands == Operands::Queries && args.command.is_none() && !names.is_empty();
        let is_type = RecordType::WORDS.iter().any(|kind| kind.eq_ignore_ascii_case(&word))
            || follows_name && !word.contains(['.', ':', '@']) && !word.eq_ignore_ascii_case("in");
        match word.strip_prefix('@') {
            Some(at) => server = Some(at.to_string()),
            None if is_type => args.flags.extend(words(&["--type", &word.to_lowercase()])),
            None if word.eq_ignore_ascii_case("in") => {}
            None => names.push(word),
        }
    }
    if operands == Operands::QueryAndServer && names.len() == 2 {
        server = names.pop();
    }
    let server = server.map(|server| match args.get(Setting::Port) {
        Some(port) => host_port(&server, port),
        None => server,
    });
    if names.is_empty() {
        return Err(None);
    }
    let mut line = words(&["resolve"]);
    line.append(&mut names);
    push_flag(&mut line, "--server", server.as_deref());
    if args.command.is_none() && server.is_none() && !has(&args.flags, &["--type", "--tcp"]) {
        line.extend(words(&["--via", "dns"]));
    }
    Ok(line)
}
