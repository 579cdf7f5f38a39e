//! `sockit nc` and sockit under the names of netcat.

mod command_lines;
mod letters;
mod openbsd_regress;
