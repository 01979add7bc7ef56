//! Copies between two accounts. On engines with accounts, a key of 12 digits is the account; on others, both keys reach the same tables,
//! so the copies get another name.

use crate::support::client::{Client, numbered};
use crate::support::engine::Engine;
use crate::support::project::{Project, REGION};

const ACCOUNTS: [&str; 2] = ["111111111111", "222222222222"];

struct Scene {
    engine: Engine,
    clients: [Client; 2],
    tables: [String; 2],
    targets: [String; 2],
}

impl Scene {
    /// Two tables in the first account.
    fn new() -> Self {
        let engine = Engine::any();
        let clients = ACCOUNTS.map(|account| Client::with_key(engine.url(), account));
        let tables = ["films", "actors"].map(|stem| engine.table(stem));
        let targets = if engine.can().has_accounts {
            tables.clone()
        } else {
            ["new-films", "new-actors"].map(|stem| engine.table(stem))
        };
        for (table, items) in tables.iter().zip([60, 30]) {
            clients[0].create_simple(table);
            clients[0].put(table, numbered(items));
        }

        Self {
            engine,
            clients,
            tables,
            targets,
        }
    }

    /// The options that select and name the tables.
    fn tables(&self) -> Vec<String> {
        let mapped = self.tables.iter().zip(&self.targets);
        let maps = mapped.filter(|(source, target)| source != target);
        let maps = maps.map(|(source, target)| format!("--map={source}={target}"));

        [format!("--table={}", self.tables.join(","))]
            .into_iter()
            .chain(maps)
            .collect()
    }

    fn are_equal(&self) {
        for (source, target) in self.tables.iter().zip(&self.targets) {
            assert_eq!(self.clients[1].items(target), self.clients[0].items(source));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for (client, tables) in self.clients.iter().zip([&self.tables, &self.targets]) {
            for table in tables {
                client.delete_if_there(table);
            }
        }
    }
}

#[test]
fn tables_are_copied_between_two_accounts_with_profiles() {
    let scene = Scene::new();
    let project = Project::empty();
    let profile = |name: &str, account: &str| {
        format!("[{name}]\naws_access_key_id = {account}\naws_secret_access_key = test\n")
    };
    let profiles = profile("old", ACCOUNTS[0]) + &profile("new", ACCOUNTS[1]);
    project.write(".aws/credentials", profiles);
    let url = scene.engine.url();
    let sides = ["from", "to"].iter().zip(["old", "new"]);
    let mut arguments: Vec<String> = sides
        .flat_map(|(side, profile)| {
            [
                format!("--{side}-profile={profile}"),
                format!("--{side}-region={REGION}"),
                format!("--{side}-endpoint-url={url}"),
            ]
        })
        .collect();
    arguments.extend(scene.tables());
    arguments.push("--yes".to_owned());

    let run = project.copydb(&arguments).exits(0);
    run.says("Copied 2 of 2 tables");
    scene.are_equal();
}

#[test]
fn tables_are_copied_between_two_accounts_with_one_file() {
    let scene = Scene::new();
    let url = scene.engine.url();
    let project = Project::empty();
    let sides = ["SRC", "DEST"].iter().zip(ACCOUNTS);
    let lines: Vec<_> = sides
        .map(|(side, account)| {
            format!(
                "{side}_AWS_ACCESS_KEY_ID={account}\n{side}_AWS_SECRET_ACCESS_KEY=test\n{side}_AWS_REGION={REGION}\n\
                 {side}_AWS_ENDPOINT_URL={url}\n"
            )
        })
        .collect();
    project.write(".env", lines.concat());
    let mut arguments = vec!["--env-file=.env".to_owned(), "--yes".to_owned()];
    arguments.extend(scene.tables());
    project.copydb(&arguments).exits(0);
    scene.are_equal();

    // The plan names both accounts, as the tables tell them.
    let [table, target] = [&scene.tables[0], &scene.targets[0]];
    let mut again = arguments[..2].to_vec();
    again.extend([format!("--table={table}"), "--dry-run".to_owned()]);
    again.extend((table != target).then(|| format!("--map={table}={target}")));
    let plan = project.copydb(&again).exits(0);
    let accounts = || ACCOUNTS.iter().filter(|_| scene.engine.can().has_accounts);
    accounts().fold(plan, |plan, account| plan.says(account));

    // That of several tables, too.
    arguments.push("--dry-run".to_owned());
    let plan = project.copydb(&arguments).exits(0);
    accounts().fold(plan, |plan, account| {
        plan.says(&format!("account {account}"))
    });
}
