// The prices that a ticket or a plan waits for, on the chart: each line is dragged, or moved by the arrow keys.

import { element, price } from "./format.js";

const STEPS = { ArrowUp: 1.001, ArrowDown: 1 / 1.001, PageUp: 1.01, PageDown: 1 / 1.01 };
const APART = 25; // Pixels, the height of a tag.
const GAP = 6;
const PRICES = 90; // What the scale of the chart takes.
const SETTLE_MS = 900; // After the last key: one press is not the whole wish.

export class Handles {
  #groups = new Map();
  #made = new Map();
  #dragged = null;

  /** `legend` says of both kinds of lines what they are, and how lines are moved. */
  constructor(plot, chart, legend) {
    Object.assign(this, { plot, chart, legend });
    chart.drawn = () => this.#place();
  }

  /**
   * The lines of one group, in the place of those it had: `{key, tag, name, said, value, colour, draft, move, commit}`. `value` is a price
   * of the chart and `said` its meaning (+10 %); a draft is yet to be placed. `move(value)` is called while a line is moved, `commit(value)` once it stays, and
   * may return a promise: until it is kept the line stands where it was moved to. Without both it only shows.
   */
  set(group, lines) {
    this.#groups.set(group, lines.map((line) => ({ ...line, key: `${group}-${line.key}` })));
    this.#draw();
  }

  #draw() {
    const lines = [...this.#groups.values()].flat().map((line) => ({ ...line, value: this.#made.get(line.key)?.wished ?? line.value }));
    const keys = new Set(lines.map(({ key }) => key));
    for (const [key, made] of this.#made) {
      if (keys.has(key)) continue;
      clearTimeout(made.timer);
      if (this.#dragged?.made === made) this.#drop(made, false);
      made.handle.remove();
      this.#made.delete(key);
    }
    for (const line of lines) {
      const made = this.#made.get(line.key) ?? this.#make(line);
      made.line = line;
      this.#say(made);
    }
    this.chart.lines = lines;
    this.#legend(lines);
  }

  #legend(lines) {
    const drafts = lines.filter(({ draft }) => draft).length;
    const [kinds, moved] = this.legend.children;
    kinds.hidden = !drafts || drafts === lines.length;
    moved.hidden = !lines.some(({ move, commit }) => move || commit);
  }

  #make(line) {
    const handle = element("div", { class: "line", role: "slider", tabindex: "0", "aria-orientation": "vertical", "data-key": line.key }, element("span", {}));
    const made = { handle, line, timer: 0, wished: undefined };
    handle.addEventListener("pointerdown", (event) => this.#grab(made, event));
    handle.addEventListener("pointermove", (event) => this.#drag(made, event));
    handle.addEventListener("pointerup", () => this.#drop(made, true));
    handle.addEventListener("pointercancel", () => this.#drop(made, false));
    handle.addEventListener("keydown", (event) => this.#key(made, event));
    this.plot.append(handle);
    this.#made.set(line.key, made);
    return made;
  }

  #say({ handle, line }) {
    const text = `${line.tag} ${line.said}`;
    if (handle.firstChild.textContent !== text) handle.firstChild.textContent = text;
    handle.classList.toggle("draft", Boolean(line.draft));
    handle.style.setProperty("--line-colour", `var(--${line.colour})`);
    const fixed = !line.move && !line.commit;
    const said = {
      "aria-label": line.name, "aria-valuenow": line.value, "aria-valuemin": 0, "aria-valuemax": line.value * 3,
      "aria-valuetext": `${price(line.value)}, ${line.said}`, "aria-readonly": fixed,
    };
    for (const [name, value] of Object.entries(said)) if (handle.getAttribute(name) !== String(value)) handle.setAttribute(name, value);
  }

  /** Beside their lines; tags that would cover each other stand side by side. */
  #place() {
    const shown = [];
    for (const { handle, line } of this.#made.values()) {
      const y = this.chart.y(line.value);
      handle.hidden = y === null;
      if (y !== null) shown.push([y, handle]);
    }
    shown.sort(([a], [b]) => a - b);
    let [last, aside] = [-APART, 0];
    for (const [y, handle] of shown) {
      const room = this.plot.clientWidth - handle.firstChild.offsetWidth - PRICES;
      if (y - last >= APART || aside > room) aside = 0;
      last = y;
      handle.style.top = `${y}px`;
      handle.style.setProperty("--aside", `${aside}px`);
      aside += handle.firstChild.offsetWidth + GAP;
    }
  }

  #top(event) {
    return event.clientY - this.plot.getBoundingClientRect().top;
  }

  #grab(made, event) {
    if (event.button !== 0 || (!made.line.move && !made.line.commit)) return;
    event.preventDefault();
    made.handle.focus({ preventScroll: true });
    made.handle.setPointerCapture(event.pointerId);
    this.#dragged = { made, from: made.line.value, off: this.#top(event) - this.chart.y(made.line.value), moved: false };
    this.chart.held = true;
  }

  #drag(made, event) {
    if (this.#dragged?.made !== made) return;
    this.#dragged.moved = true;
    this.#move(made, this.chart.value(this.#top(event) - this.#dragged.off));
  }

  /** What the browser or Escape ends is put back. */
  #drop(made, meant) {
    if (this.#dragged?.made !== made) return;
    const { moved, from } = this.#dragged;
    this.#dragged = null;
    this.chart.held = false;
    if (!moved) return;
    if (meant) return void this.#commit(made);
    this.#move(made, from);
    made.wished = undefined;
  }

  #key(made, event) {
    if (event.key === "Escape" && this.#dragged?.made === made) {
      event.stopPropagation();
      return this.#drop(made, false);
    }
    if (!STEPS[event.key] || (!made.line.move && !made.line.commit)) return;
    event.preventDefault();
    this.#move(made, made.line.value * STEPS[event.key]);
    clearTimeout(made.timer);
    made.timer = setTimeout(() => this.#commit(made), SETTLE_MS);
  }

  #move(made, value) {
    if (made.line.commit) made.wished = value;
    made.line.move?.(value);
    this.#draw();
  }

  async #commit(made) {
    const { wished } = made;
    if (wished === undefined) return;
    try {
      await made.line.commit(wished);
    } finally {
      // Moved on meanwhile, the newer wish stands.
      if (made.wished === wished) made.wished = undefined;
      this.#draw();
    }
  }
}
