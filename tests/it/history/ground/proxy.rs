//! A TCP proxy in front of Postgres that can hold back every byte, or cut every connection.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What becomes of bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passed on.
    Open,
    /// Held back, both ways; nothing is closed.
    Stalled,
    /// New connections are closed at once.
    Refusing,
}

/// The proxy; dropping it cuts everything.
pub(crate) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (mode, seen) = watch::channel(Mode::Open);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        let held = Arc::clone(&connections);
        accepting.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() == Mode::Refusing {
                    continue;
                }
                let task = pipe(client, upstream, seen.clone());
                let mut connections = held.lock().expect("whole");
                while connections.try_join_next().is_some() {}
                connections.spawn(task);
            }
        });
        Self { port, mode, connections, _accepting: accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds every byte back from now on.
    pub(crate) fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// Cuts every connection, and new ones too, from now on.
    pub(crate) fn refuse(&self) {
        self.mode.send_replace(Mode::Refusing);
        self.cut();
    }

    /// Lets everything through again.
    pub(crate) fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Cuts every connection that there is.
    pub(crate) fn cut(&self) {
        self.connections.lock().expect("whole").abort_all();
    }
}

async fn pipe(client: TcpStream, upstream: u16, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, mode.clone()) => {}
        () = copy(from_server, to_client, mode) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
