// A WebSocket that reconnects: after half a second, then after longer pauses, and at once when the network returns.

import { socketUrl } from "./api.js";

const FIRST_MS = 500;
const MAX_MS = 8000;
const GIVEN_UP = new Set([1000, 4401, 4404]);

export class Live {
  #socket = null;
  #timer = null;
  #waits = FIRST_MS;
  #closed = false;

  /**
   * `path()` is called at every connection and names where to continue. `onMessage(message)` gets every message;
   * `state` is called with connecting, live, offline (with the milliseconds until the next try), or closed with its code.
   */
  constructor(path, onMessage, state = () => {}) {
    Object.assign(this, { path, onMessage, state });
    addEventListener("online", this.#now);
    document.addEventListener("visibilitychange", this.#now);
    this.#open();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    removeEventListener("online", this.#now);
    document.removeEventListener("visibilitychange", this.#now);
    this.#socket?.close();
  }

  #now = () => {
    if (this.#timer === null || document.hidden) return;
    clearTimeout(this.#timer);
    this.#open();
  };

  async #open() {
    this.#timer = null;
    this.state("connecting");
    try {
      const url = await socketUrl(this.path());
      if (this.#closed) return;
      this.#socket = new WebSocket(url);
    } catch (error) {
      if (error.status === 401) return this.state("closed", 4401);
      return this.#later();
    }
    const socket = this.#socket;
    socket.onmessage = ({ data }) => {
      this.#waits = FIRST_MS;
      this.state("live");
      this.onMessage(JSON.parse(data));
    };
    socket.onopen = () => this.state("live");
    socket.onclose = ({ code }) => {
      if (this.#closed || socket !== this.#socket) return;
      if (GIVEN_UP.has(code)) {
        this.#closed = true;
        this.state("closed", code);
      } else this.#later();
    };
  }

  #later() {
    if (this.#closed) return;
    const wait = this.#waits * (0.75 + Math.random() / 2);
    this.#waits = Math.min(MAX_MS, this.#waits * 1.7);
    this.state("offline", wait);
    this.#timer = setTimeout(() => this.#open(), wait);
  }
}
