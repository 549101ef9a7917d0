//! A TCP proxy between any two that can hold back every byte or slow it down, cut every connection, or lead elsewhere.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

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
    /// Passed on, each piece after a while.
    Slow,
    /// New connections are closed at once.
    Refusing,
}

/// How long a slow network takes for each piece of what is on its way.
const SLOWLY: Duration = Duration::from_millis(40);

/// The proxy; dropping it cuts everything.
pub(crate) struct Proxy {
    port: u16,
    /// The first of these ports that takes a connection gets it.
    upstreams: Arc<Mutex<Vec<u16>>>,
    mode: watch::Sender<Mode>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(upstreams: Vec<u16>) -> Self {
        let upstreams = Arc::new(Mutex::new(upstreams));
        let leads = Arc::clone(&upstreams);
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
                let ports = leads.lock().expect("whole").clone();
                let task = pipe(client, ports, seen.clone());
                let mut connections = held.lock().expect("whole");
                while connections.try_join_next().is_some() {}
                connections.spawn(task);
            }
        });
        Self { port, upstreams, mode, connections, _accepting: accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds every byte back from now on.
    pub(crate) fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// Lets everything through, slowly.
    pub(crate) fn slow(&self) {
        self.mode.send_replace(Mode::Slow);
    }

    /// Leads new connections elsewhere, and cuts those that there are.
    pub(crate) fn lead_to(&self, port: u16) {
        *self.upstreams.lock().expect("whole") = vec![port];
        self.cut();
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

async fn pipe(client: TcpStream, ports: Vec<u16>, mode: watch::Receiver<Mode>) {
    let mut server = None;
    for port in ports {
        server = TcpStream::connect(("127.0.0.1", port)).await.ok();
        if server.is_some() {
            break;
        }
    }
    let Some(server) = server else { return };
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
        if *mode.borrow() == Mode::Slow {
            tokio::time::sleep(SLOWLY).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
