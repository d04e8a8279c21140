//! A proxy in front of a broker that loses the ends of transactions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// `EndTxn` in Kafka's protocol.
const END_TXN: i16 = 26;

/// What happens to requests that end a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ends {
    /// They pass.
    Pass,
    /// They never reach the broker.
    LoseRequest,
    /// They reach the broker, and its answer is lost.
    LoseAnswer,
}

/// See the module. Ends with the process.
#[derive(Debug, Clone)]
pub struct Proxy {
    ends: Arc<AtomicU8>,
}

impl Proxy {
    /// Listens on `listen`, and passes everything on to port `to` of this machine.
    pub fn start(listen: u16, to: u16) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", listen))?;
        let proxy = Proxy {
            ends: Arc::new(AtomicU8::new(Ends::Pass as u8)),
        };
        let served = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) {
                    served.serve(client, broker);
                }
            }
        });
        Ok(proxy)
    }

    /// From now on.
    pub fn set(&self, ends: Ends) {
        self.ends.store(ends as u8, Ordering::SeqCst);
    }

    fn serve(&self, client: TcpStream, broker: TcpStream) {
        let lost = Arc::new(AtomicU8::new(0));
        let pairs = (client.try_clone(), broker.try_clone());
        let (Ok(to_client), Ok(from_broker)) = pairs else {
            return;
        };
        let (ends, losing) = (Arc::clone(&self.ends), Arc::clone(&lost));
        std::thread::spawn(move || {
            let mut streams = (client, broker);
            while let Ok(frame) = frame(&mut streams.0) {
                let is_end = frame.len() >= 6 && frame[4..6] == END_TXN.to_be_bytes();
                if is_end {
                    let ends = ends.load(Ordering::SeqCst);
                    if ends == Ends::LoseRequest as u8 {
                        continue;
                    }
                    if ends == Ends::LoseAnswer as u8 {
                        losing.store(1, Ordering::SeqCst);
                    }
                }
                if streams.1.write_all(&frame).is_err() {
                    break;
                }
            }
            // Closed already, if it fails.
            let _ = streams.1.shutdown(Shutdown::Both);
        });
        std::thread::spawn(move || {
            let mut streams = (from_broker, to_client);
            while let Ok(frame) = frame(&mut streams.0) {
                // Once an answer was lost, this connection gives no more.
                if lost.load(Ordering::SeqCst) == 0 && streams.1.write_all(&frame).is_err() {
                    break;
                }
            }
            let _ = streams.1.shutdown(Shutdown::Both);
        });
    }
}

/// A request or an answer, with its length in front.
fn frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame)?;
    let mut length = [0; 4];
    length.copy_from_slice(&frame);
    let length = u32::from_be_bytes(length) as usize;
    frame.resize(4 + length, 0);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}
