// A wire between one client and the bridge that can be cut, and stalled.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Wire {
  #server;
  #ends = new Set();

  /** Opens a wire to the port of a bridge, which may be down. */
  static async open(rowcast) {
    const wire = new Wire();
    wire.#server = createServer((near) => wire.#join(near, connect(rowcast.port, "127.0.0.1")));
    wire.#server.listen(0, "127.0.0.1");
    await once(wire.#server, "listening");
    return wire;
  }

  /** What the client is told to connect to. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  #join(near, far) {
    for (const [end, other] of [[near, far], [far, near]]) {
      this.#ends.add(end);
      end.setNoDelay(true);
      end.on("error", () => {});
      end.on("close", () => {
        this.#ends.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  }

  /** Cuts what is connected, in the middle of whatever is under way. */
  cut() {
    for (const end of this.#ends) end.resetAndDestroy();
  }

  async close() {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }
}
