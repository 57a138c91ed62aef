//! `jetsled completions SHELL`: what a shell needs to complete this program's flags and commands, made of their usage, so that it names no other ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use jetsled_config::{Command, Environment, parse_command_line};

use super::COMMANDS;
use crate::program::say;

/// A flag as the usage describes it.
#[derive(Debug, PartialEq, Eq)]
struct Flag {
    /// With its dash.
    name: String,
    /// What must follow it, as the usage calls that.
    value: Option<String>,
    about: String,
}

/// Prints the completions for the shell that is asked for.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let script = match arguments {
        [shell] if shell == "bash" => bash(&flags()),
        [shell] if shell == "zsh" => zsh(&flags()),
        [shell] if shell == "fish" => fish(&flags()),
        _ => {
            let usage = "usage: jetsled completions bash|zsh|fish\n";
            say(io::stderr(), usage);
            return ExitCode::FAILURE;
        }
    };
    say(io::stdout(), &script);
    ExitCode::SUCCESS
}

fn flags() -> Vec<Flag> {
    match parse_command_line(["jetsled", "-h"].map(OsString::from), &Environment::PROCESS) {
        Ok(Command::Help(usage)) => usage.lines().flat_map(flags_of_line).collect(),
        _ => Vec::new(),
    }
}

/// `  -c, -config FILE   read this`: two flags with a value; in `  -user NAME, -pass WORD   these` each has its own.
fn flags_of_line(line: &str) -> Vec<Flag> {
    let line = line.strip_prefix("  ").filter(|line| line.starts_with('-'));
    let Some((names, about)) = line.and_then(|line| line.split_once("  ")) else {
        return Vec::new();
    };
    let mut value = None;
    let mut found = Vec::new();
    for one in names.rsplit(", ") {
        let (name, own) = match one.split_once([' ', '=', '[']) {
            Some((name, value)) => (name, Some(value)),
            None => (one, None),
        };
        value = own.or(value);
        found.push(Flag {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            about: about.trim().to_owned(),
        });
    }
    found.reverse();
    found
}

/// What may follow a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Follows {
    File,
    Directory,
    Signal,
    /// Nothing that a shell could know.
    Unknown,
}

const SIGNALS: &str = "ldm quit reload reopen stop term";

impl Flag {
    fn follows(&self) -> Option<Follows> {
        let value = self.value.as_deref()?;
        Some(match value {
            "FILE" => Follows::File,
            "DIR" => Follows::Directory,
            _ if value.starts_with("COMMAND") => Follows::Signal,
            _ => Follows::Unknown,
        })
    }
}

fn bash(flags: &[Flag]) -> String {
    let mut after: BTreeMap<Follows, Vec<String>> = BTreeMap::new();
    for flag in flags {
        if let Some(follows) = flag.follows() {
            let names = after.entry(follows).or_default();
            names.extend([flag.name.clone(), format!("-{}", flag.name)]);
        }
    }
    let mut cases = String::new();
    for (follows, names) in after {
        let answer = match follows {
            Follows::File => "COMPREPLY=($(compgen -f -- \"$word\"))".to_owned(),
            Follows::Directory => "COMPREPLY=($(compgen -d -- \"$word\"))".to_owned(),
            Follows::Signal => format!("COMPREPLY=($(compgen -W '{SIGNALS}' -- \"$word\"))"),
            Follows::Unknown => "compopt +o default; COMPREPLY=()".to_owned(),
        };
        writeln!(cases, "        {}) {answer}; return ;;", names.join("|")).ok();
    }
    let words: Vec<_> = flags.iter().map(|flag| flag.name.as_str()).collect();
    let commands: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    format!(
        "_jetsled() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words='{flags}'
    COMPREPLY=()
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
{cases}    esac
    case \" {commands} \" in
        *\" ${{COMP_WORDS[1]}} \"*) [ \"$COMP_CWORD\" -gt 1 ] && return ;;
    esac
    [ \"$COMP_CWORD\" = 1 ] && words=\"$words {commands}\"
    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))
}}
complete -o default -F _jetsled jetsled
",
        flags = words.join(" "),
        commands = commands.join(" "),
    )
}

fn zsh(flags: &[Flag]) -> String {
    let mut arguments = String::new();
    for flag in flags {
        let about = flag.about.replace(['[', ']', ':', '\'', '\\'], " ");
        let value = match flag.follows() {
            None => String::new(),
            Some(Follows::File) => ":file:_files".to_owned(),
            Some(Follows::Directory) => ":directory:_files -/".to_owned(),
            Some(Follows::Signal) => format!(":signal:({SIGNALS})"),
            Some(Follows::Unknown) => ":value: ".to_owned(),
        };
        writeln!(arguments, "    '{}[{about}]{value}' \\", flag.name).ok();
    }
    let commands: Vec<_> = COMMANDS
        .iter()
        .map(|command| format!("{}\\:\"{}\"", command.name, command.about))
        .collect();
    format!(
        "#compdef jetsled
_arguments \\
{arguments}    '1:command:(({}))' \\
    '*:file:_files'
",
        commands.join(" ")
    )
}

fn fish(flags: &[Flag]) -> String {
    let mut script = String::new();
    for flag in flags {
        let name = flag.name.trim_start_matches('-');
        // Fish tells a flag of one letter from an old one of several.
        let kind = if name.len() == 1 { "-s" } else { "-o" };
        let value = match flag.follows() {
            None => String::new(),
            Some(Follows::File) => " -r".to_owned(),
            Some(Follows::Directory) => " -x -a '(__fish_complete_directories)'".to_owned(),
            Some(Follows::Signal) => format!(" -x -a '{SIGNALS}'"),
            Some(Follows::Unknown) => " -x".to_owned(),
        };
        let about = flag.about.replace(['\'', '\\'], " ");
        writeln!(
            script,
            "complete -c jetsled {kind} {name}{value} -d '{about}'"
        )
        .ok();
    }
    for command in COMMANDS {
        writeln!(
            script,
            "complete -c jetsled -n __fish_use_subcommand -a {} -d '{}'",
            command.name, command.about
        )
        .ok();
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[(&str, Option<Follows>)]) {
        let flags = flags_of_line(line);
        let found: Vec<_> = flags
            .iter()
            .map(|flag| (flag.name.as_str(), flag.follows()))
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_line_of_the_usage_names_flags_and_what_follows_them() {
        use Follows::{Directory, File, Signal, Unknown};
        check(
            "  -c, -config FILE              read it",
            &[("-c", Some(File)), ("-config", Some(File))],
        );
        check(
            "  -DV, -DVV                     both",
            &[("-DV", None), ("-DVV", None)],
        );
        check(
            "  -user USER, -pass PASSWORD    these",
            &[("-user", Some(Unknown)), ("-pass", Some(Unknown))],
        );
        check(
            "  -T, -logtime=BOOL             begin",
            &[("-T", Some(Unknown)), ("-logtime", Some(Unknown))],
        );
        check(
            "  -ports_file_dir DIR           write",
            &[("-ports_file_dir", Some(Directory))],
        );
        check(
            "  -sl, -signal COMMAND[=PID]    signal",
            &[("-sl", Some(Signal)), ("-signal", Some(Signal))],
        );
        check("Server:", &[]);
        check(
            "                                PID is a process id, its beginning",
            &[],
        );
    }

    #[test]
    fn every_flag_of_the_usage_is_completed() {
        let flags = flags();
        assert!(flags.len() > 50, "{}", flags.len());
        for script in [bash(&flags), zsh(&flags), fish(&flags)] {
            for name in ["store_dir", "tlscacert", "version", "backup", "import"] {
                assert!(script.contains(name), "{name} is not in {script}");
            }
        }
    }
}
