//! Finds the process that listens on a TCP port, in `/proc` (Linux).

use std::collections::HashSet;
use std::fmt;
use std::fs;

/// State of a listening socket in `/proc/net/tcp` (`TCP_LISTEN`).
const LISTENING: &str = "0A";

/// A process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    /// The name of its program, without arguments: they may contain secrets.
    name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id)
    }
}

/// The process that listens on `port`. `None` where the system does not tell, such as for another user's process.
pub(crate) fn find(port: u16) -> Option<Process> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|table| listening_sockets(&table, port))
        .collect();
    if sockets.is_empty() {
        return None;
    }

    let processes = fs::read_dir("/proc").ok()?;
    let mut ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let id = ids.find(|id| holds_any(*id, &sockets))?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;

    Some(Process {
        id,
        name: name.trim().to_owned(),
    })
}

/// The links in `/proc/*/fd` of the sockets that listen on `port`, from a table such as `/proc/net/tcp`.
fn listening_sockets(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let inode = |line: &str| {
        // sl, local_address, rem_address, st, tx:rx, tr:tm, retrnsmt, uid, timeout, inode (proc_pid_net(5)).
        let mut columns = line.split_whitespace();
        let (local, state) = (columns.nth(1)?, columns.nth(1)?);
        let inode = columns.nth(5)?;
        (local.ends_with(&port) && state == LISTENING).then(|| format!("socket:[{inode}]"))
    };

    table.lines().filter_map(inode).collect()
}

fn holds_any(process: u32, sockets: &HashSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };

    files.flatten().any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_are_found() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:11D6 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0
   1: 0100007F:11D6 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 0100007F:11D7 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 100 0 0 10 0
";
        assert_eq!(listening_sockets(table, 4566), ["socket:[111]"]);
        assert_eq!(listening_sockets(table, 4567), ["socket:[333]"]);
        assert!(listening_sockets(table, 80).is_empty());
    }
}
