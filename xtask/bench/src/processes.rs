//! How much of the processors a process has used, as Linux tells it in `/proc`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use diesel::QueryableByName;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// The unit of times in `/proc/<pid>/stat`. Linux shows programs 100 ticks a second, whatever its own timer does (man 5 proc).
const TICKS_PER_SECOND: u64 = 100;

/// What a process itself has used, in user and kernel mode.
pub fn cpu(process: u32) -> Result<Duration> {
    Ok(Stat::read(process)?.own)
}

/// The main process of the server behind a connection.
pub async fn postmaster(conn: &mut AsyncPgConnection) -> Result<u32> {
    #[derive(QueryableByName)]
    struct Backend {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let backend: Backend = diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(conn).await?;
    Ok(Stat::read(u32::try_from(backend.pid)?)?.parent)
}

/// What a process and all children it ever had have used. Children that ended are in the parent's own figures.
pub fn cpu_of_family(parent: u32) -> Result<Duration> {
    let mut sum = Stat::read(parent)?.with_ended_children;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends meanwhile is in its parent's figures the next time.
        if let Ok(stat) = Stat::read(process)
            && stat.parent == parent
        {
            sum += stat.with_ended_children;
        }
    }
    Ok(sum)
}

struct Stat {
    parent: u32,
    own: Duration,
    with_ended_children: Duration,
}

impl Stat {
    fn read(process: u32) -> Result<Self> {
        let path = format!("/proc/{process}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        Self::parse(&text).with_context(|| format!("{path} is not understood: {text}"))
    }

    /// The name of the program stands in parentheses and may contain any character; what is counted comes behind it.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let [user, system, ended_user, ended_system] = [number(11)?, number(12)?, number(13)?, number(14)?];
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: time(user + system),
            with_ended_children: time(user + system + ended_user + ended_system),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_the_name() {
        let stat =
            Stat::parse("42 (post) gres) S 7 42 42 0 -1 4194304 9 0 0 0 150 50 20 30 20 0 1 0 1").unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!(stat.own, Duration::from_secs(2));
        assert_eq!(stat.with_ended_children, Duration::from_millis(2500));
    }
}
