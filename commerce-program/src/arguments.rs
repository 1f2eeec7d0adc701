//! Reads the command line and the environment, and never prints a setting: many of them are secrets or contain one,
//! and what a program prints ends in logs.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error, Parser};

/// The arguments of this process. Prints what is wrong and ends the process if they cannot be read.
pub fn read<P: Parser>() -> P {
    read_from(std::env::args_os())
}

/// Like [`read`], from these arguments. The first one is the name of the program.
pub fn read_from<P: Parser>(arguments: impl IntoIterator<Item = OsString>) -> P {
    let matches = command::<P>().try_get_matches_from(arguments);
    matches
        .and_then(|mut matches| P::from_arg_matches_mut(&mut matches))
        .unwrap_or_else(|error| without_value(&error, &command::<P>()).unwrap_or(error).exit())
}

/// The command, whose help does not show the values of variables.
fn command<P: CommandFactory>() -> Command {
    let mut command = hide_values(P::command());
    command.build();
    command
}

fn hide_values(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(hide_values)
}

/// Whether this is a setting, which may come from the environment.
fn is_setting(command: &Command, shown: &str) -> bool {
    let mut arguments = command.get_arguments();
    arguments.any(|argument| argument.to_string() == shown && argument.get_env().is_some())
        || command.get_subcommands().any(|subcommand| is_setting(subcommand, shown))
}

/// The same error without the value that it complains of. `None` if it complains of no setting.
fn without_value(error: &Error, command: &Command) -> Option<Error> {
    let argument = match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, ContextValue::String(argument))
            if is_setting(command, argument) =>
        {
            argument
        }
        _ => return None,
    };
    let mut reason = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => format!(": {source}"),
        (None, Some(ContextValue::Strings(valid))) => format!(": expected {}", valid.join(", ")),
        _ => String::new(),
    };
    // Many reasons quote what they complain of, or begin with it.
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        reason = reason.replace(&format!("{value:?}"), "it");
        if let Some(rest) = reason.strip_prefix(&format!(": {value} ")) {
            reason = format!(": it {rest}");
        }
    }
    Some(Error::raw(error.kind(), format!("the value for '{argument}' is invalid{reason}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[arg(long, env = "NO_NUMBER", value_parser = |text: &str| text.parse::<u8>())]
        number: Option<u8>,
        /// No setting, so that whoever typed it sees it again.
        #[arg(long)]
        count: Option<u8>,
        #[arg(long, env = "NO_WORD", value_parser = |text: &str| Err::<String, _>(format!("{text} is no word")))]
        word: Option<String>,
        #[arg(long, value_parser = ["red", "green"], env = "PATH")]
        color: Option<String>,
    }

    #[test]
    fn errors_and_help_name_the_setting_and_never_its_value() {
        let told = |arguments: &[&str]| {
            let command = command::<Arguments>();
            let error = command.clone().try_get_matches_from(arguments).unwrap_err();
            without_value(&error, &command).unwrap_or(error).to_string()
        };
        let path = std::env::var("PATH").unwrap();
        for (arguments, says) in [
            (["x", "--number", "hunter2"], "'--number <NUMBER>' is invalid: invalid digit"),
            (["x", "--word", "hunter2"], "'--word <WORD>' is invalid: it is no word"),
            (["x", "--color", "hunter2"], "'--color <COLOR>' is invalid: expected red, green"),
        ] {
            let text = told(&arguments);
            assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
        }
        assert!(told(&["x", "--count", "two"]).contains("invalid value 'two'"));
        let help = told(&["x", "--help"]);
        assert!(help.contains("PATH") && !help.contains(&path), "{help}");
    }
}
