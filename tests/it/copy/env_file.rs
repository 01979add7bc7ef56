//! One file for both sides of a copy.

use super::Scene;
use crate::support::project::REGION;

/// Keys of both sides with these endpoints.
fn keys(scene: &Scene) -> String {
    let side = |side: &str, url: &str| {
        format!(
            "{side}_AWS_ACCESS_KEY_ID=test\n{side}_AWS_SECRET_ACCESS_KEY=hush-hush\n{side}_AWS_REGION={REGION}\n{side}_AWS_ENDPOINT_URL={url}\n"
        )
    };

    side("SRC", scene.source_proxy.url()) + &side("DEST", scene.target_proxy.url())
}

#[test]
fn a_file_with_the_keys_of_both_sides_is_enough_with_the_names_of_the_tables() {
    let scene = Scene::new(20, 50);
    scene.project.write(".env", keys(&scene));
    scene
        .project
        .copydb([
            "--env-file=.env",
            "--table=films",
            "--map=films=copies",
            "--yes",
        ])
        .exits(0)
        .says("Copied 20 items to copies (dest)")
        .never_says("hush");
    assert_eq!(scene.target.items("copies"), scene.source.items("films"));
}

#[test]
fn the_file_may_name_the_table_and_the_prefixes() {
    let scene = Scene::new(10, 50);
    let lines = "TABLES_TO_MIGRATE=films\nSRC_PREFIX=fi\nDEST_PREFIX=dev-fi\nOTHER=1\n";
    scene.project.write("both", keys(&scene) + lines);
    scene.project.copydb(["--env-file=both", "--yes"]).exits(0);
    assert_eq!(scene.target.items("dev-films"), scene.source.items("films"));

    // Flags take precedence.
    scene
        .project
        .copydb(["--env-file=both", "--yes", "--add-prefix=new-"])
        .exits(0);
    assert_eq!(scene.target.items("new-films"), scene.source.items("films"));
}

#[test]
fn half_a_side_is_refused_before_the_first_request() {
    let scene = Scene::new(1, 1);
    let whole = keys(&scene);
    for (missing, message) in [
        (
            "SRC_AWS_SECRET_ACCESS_KEY",
            ".env does not set SRC_AWS_SECRET_ACCESS_KEY",
        ),
        (
            "DEST_AWS_ACCESS_KEY_ID",
            ".env does not set DEST_AWS_ACCESS_KEY_ID",
        ),
        (
            "DEST_AWS_",
            ".env does not set DEST_AWS_ACCESS_KEY_ID and DEST_AWS_SECRET_ACCESS_KEY",
        ),
    ] {
        let lines = whole.lines().filter(|line| !line.starts_with(missing));
        let text: Vec<_> = lines.collect();
        scene.project.write(".env", text.join("\n"));
        scene
            .project
            .copydb(["--env-file=.env", "--table=films", "--yes"])
            .exits(2)
            .says(message)
            .never_says("hush");
    }

    assert_eq!(scene.source_proxy.calls().len(), 0);
}

#[test]
fn errors_name_file_line_and_key_and_quote_no_value() {
    let scene = Scene::new(1, 1);
    let whole = keys(&scene);
    for (line, code, message) in [
        (
            "SRC_AWS_REGION=hush",
            10,
            ".env line 9: SRC_AWS_REGION was already set on line 3",
        ),
        (
            "DEST_AWS_SESSION_TOKEN=your-hush",
            10,
            ".env line 9: DEST_AWS_SESSION_TOKEN still contains a placeholder",
        ),
        (
            "DEST_AWS_KEY=hush",
            10,
            ".env line 9: unsupported key DEST_AWS_KEY; did you mean DEST_AWS_ACCESS_KEY_ID?",
        ),
        (
            "SRC_AWS_PROFILE=hush",
            10,
            ".env line 9: SRC_AWS_PROFILE is a second set of credentials",
        ),
        (
            "SRC_AWS_SESSION_TOKEN=hush hush",
            10,
            ".env line 9: SRC_AWS_SESSION_TOKEN is not KEY=value",
        ),
    ] {
        scene.project.write(".env", format!("{whole}{line}\n"));
        scene
            .project
            .copydb(["--env-file=.env", "--table=films", "--yes"])
            .exits(code)
            .says(message)
            .never_says("hush");
    }

    scene.project.write(".env", whole);
    scene
        .project
        .copydb(["--env-file=.env", "--from=here", "--to=there", "--yes"])
        .exits(2)
        .says("--env-file has no effect");
    scene
        .project
        .copydb(["--env-file=other", "--table=films", "--yes"])
        .exits(10)
        .says("cannot read other");
}

#[test]
fn one_side_may_be_an_environment_and_a_remote_target_is_protected() {
    let scene = Scene::new(5, 10);
    scene.project.write(".env", keys(&scene));
    scene
        .project
        .copydb(["--env-file=.env", "--from=here", "--yes"])
        .exits(0)
        .says("Copied 5 items to films (dest)");

    let remote = keys(&scene).replace(
        scene.target_proxy.url(),
        &scene.target_proxy.url().replace("127.0.0.1", "0.0.0.0"),
    );
    scene.project.write(".env", &remote);
    let copy = ["--env-file=.env", "--table=films", "--yes"];
    scene
        .project
        .copydb(copy.iter().chain(&["--allow-insecure-endpoint"]))
        .exits(4)
        .says("protected environment \"dest\"");

    scene
        .project
        .write(".env", format!("{remote}DEST_DYNADUMP_PROTECTED=false\n"));
    scene.project.copydb(copy).exits(0);
}
