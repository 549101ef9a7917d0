//! TLS to Postgres: what each `sslmode` of libpq accepts and refuses.

use std::{fs, path::Path, process::Command};

use rowcast::{config::Secret, db::Target, error::Chain, lifecycle::Lifecycle};

use crate::harness::private_cluster;

fn openssl(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
    let output = output.expect("openssl");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, a certificate of its for `localhost`, and an authority that nobody asked.
fn certificates(folder: &Path) {
    for name in ["ca", "stranger"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}"
            ),
        );
    }
    openssl(
        folder,
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost").expect("written");
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout self.key -out self.crt -subj /CN=self -addext subjectAltName=DNS:localhost",
    );
}

/// Puts a file into the data folder, readable by Postgres only.
fn place(data: &Path, name: &str, text: &[u8]) {
    // Written through, so that the files stay Postgres's own.
    let kept = data.join("PG_VERSION");
    if !data.join(name).exists() {
        fs::copy(&kept, data.join(name)).expect("a file");
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&kept).expect("a file"));
        std::os::unix::fs::chown(data.join(name), Some(owner), None).expect("owned");
    }
    fs::write(data.join(name), text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(data.join(name), mode).expect("private");
}

/// Gives the server a certificate and its key.
fn install(files: &Path, data: &Path, certificate: &str, key: &str) {
    for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
        place(data, to, &fs::read(files.join(from)).expect("a file"));
    }
}

/// What is allowed in, by which way.
fn let_in(data: &Path, lines: &[&str]) {
    place(data, "pg_hba.conf", (lines.join("\n") + "\n").as_bytes());
}

/// Whether the connection, if there is one, is encrypted.
async fn encrypted(url: &str) -> Result<bool, String> {
    let target = Target::parse(&Secret::new(url)).map_err(|error| error.to_string())?;
    let lifecycle = Lifecycle::new();
    let client = target.client(&lifecycle).await.map_err(|error| Chain(&error).to_string())?;
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.map_err(|error| error.to_string())?.get(0))
}

#[tokio::test]
async fn each_mode_accepts_what_libpq_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    certificates(&files);
    let file = |name: &str| files.join(name).display().to_string();

    let cluster = private_cluster(&folder.path().join("data"), &[]).await;
    let data = cluster.data();
    let install = |certificate: &str, key: &str| install(&files, &data, certificate, key);
    let plain = cluster.url().reveal().to_owned();
    let local = plain.replace("127.0.0.1", "localhost");
    let root = format!("sslrootcert={}", file("ca.crt"));

    // Without TLS on the server.
    assert_eq!(encrypted(&format!("{plain}?sslmode=prefer")).await, Ok(false));
    let why = encrypted(&format!("{plain}?sslmode=require")).await.expect_err("no TLS there");
    assert!(why.contains("does not support TLS"), "{why}");
    cluster.stop().await;

    install("server.crt", "server.key");
    let cluster = private_cluster(&folder.path().join("data"), &[("ssl", "on")]).await;
    for (query, expected) in [
        ("sslmode=disable".to_owned(), Ok(false)),
        ("sslmode=allow".to_owned(), Ok(false)),
        ("sslmode=prefer".to_owned(), Ok(true)),
        (String::new(), Ok(true)),
        ("sslmode=require".to_owned(), Ok(true)),
        (format!("sslmode=require&{root}"), Ok(true)),
        (format!("sslmode=require&sslrootcert={}", file("stranger.crt")), Err("UnknownIssuer")),
        (format!("sslmode=verify-ca&{root}"), Ok(true)),
        (format!("sslmode=verify-ca&sslrootcert={}", file("stranger.crt")), Err("UnknownIssuer")),
        (format!("sslmode=verify-full&{root}"), Err("not valid for name")),
        ("sslrootcert=system".to_owned(), Err("UnknownIssuer")),
    ] {
        let found = encrypted(&format!("{plain}?{query}")).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{query}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{query}: {found}"),
            (found, _) => panic!("{query}: {found:?}"),
        }
    }
    assert_eq!(encrypted(&format!("{local}?sslmode=verify-full&{root}")).await, Ok(true));
    let password = plain.split([':', '@']).nth(2).expect("a password");
    let pairs = format!(
        "host=localhost port={} user=rowcast_dev dbname=rowcast password='{password}' sslmode=verify-full {root}",
        cluster.port()
    );
    assert_eq!(encrypted(&pairs).await, Ok(true));
    cluster.stop().await;

    // A self-signed certificate is its own root.
    install("self.crt", "self.key");
    let cluster = private_cluster(&folder.path().join("data"), &[("ssl", "on")]).await;
    let own = format!("sslrootcert={}", file("self.crt"));
    assert_eq!(encrypted(&format!("{local}?sslmode=verify-full&{own}")).await, Ok(true));
    assert!(encrypted(&format!("{local}?sslmode=verify-ca&{root}")).await.is_err());
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_that_insists_or_refuses_is_met_as_libpq_meets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    certificates(&files);
    let file = |name: &str| files.join(name).display().to_string();
    let cluster = private_cluster(&folder.path().join("data"), &[]).await;
    let data = cluster.data();
    let superuser = Target::parse(&cluster.superuser_url()).expect("a URL");
    install(&files, &data, "server.crt", "server.key");
    place(&data, "clients.crt", &fs::read(files.join("ca.crt")).expect("a file"));
    cluster.stop().await;
    let settings = [("ssl", "on"), ("ssl_ca_file", "clients.crt")];
    let cluster = private_cluster(&folder.path().join("data"), &settings).await;
    let plain = cluster.url().reveal().to_owned();
    let local = plain.replace("127.0.0.1", "localhost");
    let lifecycle = Lifecycle::new();
    let client = superuser.client(&lifecycle).await.expect("a connection");
    let reload = async |lines: &[&str]| {
        let mut lines = lines.to_vec();
        lines.push("host all postgres 127.0.0.1/32 scram-sha-256");
        let_in(&data, &lines);
        client.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    };
    // The postmaster reads it a moment later.
    let eventually = async |url: String, expected: Result<bool, &str>| {
        let fits = |found: &Result<bool, String>| match (found, expected) {
            (Ok(found), Ok(expected)) => *found == expected,
            (Err(found), Err(expected)) => found.contains(expected),
            _ => false,
        };
        let mut found = encrypted(&url).await;
        for _ in 0..100 {
            if fits(&found) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            found = encrypted(&url).await;
        }
        panic!("{url}: {found:?} instead of {expected:?}");
    };

    // A certificate of version 1, as `openssl x509 -req` makes it without a word of extensions.
    openssl(
        &files,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out old.crt",
    );
    reload(&["host all rowcast_dev 127.0.0.1/32 scram-sha-256"]).await;
    install(&files, &data, "old.crt", "server.key");
    client.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    let verified = format!("{plain}?sslmode=verify-ca&sslrootcert={}", file("ca.crt"));
    eventually(verified.clone(), Err("UnsupportedCertVersion")).await;
    eventually(format!("{plain}?sslmode=require&channel_binding=require"), Ok(true)).await;
    install(&files, &data, "server.crt", "server.key");
    client.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    eventually(verified, Ok(true)).await;

    // Only encrypted: `allow` tries again with TLS, `disable` does not.
    reload(&["hostssl all rowcast_dev 127.0.0.1/32 scram-sha-256"]).await;
    eventually(format!("{plain}?sslmode=disable"), Err("no encryption")).await;
    eventually(format!("{plain}?sslmode=allow"), Ok(true)).await;
    eventually(format!("{plain}?sslmode=prefer"), Ok(true)).await;
    // Only plain: `prefer` tries again without, `require` does not.
    reload(&["hostnossl all rowcast_dev 127.0.0.1/32 scram-sha-256"]).await;
    eventually(format!("{plain}?sslmode=require"), Err("no pg_hba.conf entry")).await;
    eventually(format!("{plain}?sslmode=prefer"), Ok(false)).await;
    eventually(format!("{plain}?sslmode=allow"), Ok(false)).await;

    // The password's exchange is bound to the TLS session where that is asked for.
    reload(&["host all rowcast_dev 127.0.0.1/32 scram-sha-256"]).await;
    eventually(format!("{plain}?sslmode=require&channel_binding=require"), Ok(true)).await;
    eventually(format!("{plain}?sslmode=require&channel_binding=disable"), Ok(true)).await;
    eventually(format!("{plain}?sslmode=disable&channel_binding=require"), Err("channel binding"))
        .await;
    eventually(format!("{plain}?sslmode=require&ssl_max_protocol_version=TLSv1.2"), Ok(true)).await;
    eventually(format!("{local}?sslmode=require&sslsni=0"), Ok(true)).await;
    eventually(
        format!("{plain}?sslmode=prefer&sslnegotiation=direct"),
        Err("sslnegotiation=direct"),
    )
    .await;
    let direct = format!("{plain}?sslmode=require&sslnegotiation=direct");
    if cluster.binaries().major() >= 17 {
        eventually(direct, Ok(true)).await;
    } else {
        assert!(encrypted(&direct).await.is_err(), "direct came with PostgreSQL 17");
    }

    // A client certificate instead of a password.
    for (name, authority) in [("client", "ca"), ("fake", "stranger")] {
        openssl(
            &files,
            &format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN=rowcast_dev"
            ),
        );
        openssl(
            &files,
            &format!(
                "x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 2 -out {name}.crt"
            ),
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file(&format!("{name}.key")), mode).expect("private");
    }
    reload(&["hostssl all rowcast_dev 127.0.0.1/32 cert"]).await;
    let with = |name: &str| {
        format!(
            "{plain}?sslmode=require&sslcert={}&sslkey={}",
            file(&format!("{name}.crt")),
            file(&format!("{name}.key"))
        )
    };
    eventually(with("client"), Ok(true)).await;
    eventually(format!("{plain}?sslmode=require"), Err("client certificate")).await;
    assert!(encrypted(&with("fake")).await.is_err(), "by an authority that nobody asked");
    assert!(encrypted(&format!("{}&sslcertmode=disable", with("client"))).await.is_err());
    let why = encrypted(&format!("{plain}?sslmode=require&sslcertmode=require"))
        .await
        .expect_err("no certificate");
    assert!(why.contains("sslcert and sslkey"), "{why}");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(file("client.key"), open).expect("open");
    let why = encrypted(&with("client")).await.expect_err("an open key");
    assert!(why.contains("chmod 0600"), "{why}");
    cluster.stop().await;
}
