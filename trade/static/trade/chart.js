// The last minutes of both venues' prices on a canvas; a dashed line is the price that the ticket waits for.

import { price } from "./format.js";

const SPAN_MS = 120_000;
const VENUES = ["raydium", "meteora"];
const RIGHT = 70;
const LABEL_HALF = 8;
const BOTTOM = 20;

export class Chart {
  #points = { raydium: [], meteora: [] };
  #limit = null;
  #pointer = null;
  #frame = null;

  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => { this.#pointer = event.offsetX; this.draw(); });
    canvas.addEventListener("pointerleave", () => { this.#pointer = null; this.draw(); });
  }

  clear() {
    this.#points = { raydium: [], meteora: [] };
    this.draw();
  }

  add(at, prices) {
    for (const venue of VENUES) {
      const points = this.#points[venue];
      if (prices[venue] !== undefined) points.push([at, prices[venue]]);
      while (points.length && points[0][0] < at - SPAN_MS - 2000) points.shift();
    }
    this.draw();
  }

  /** The first price still on show, to compare the present one with. */
  get first() {
    return this.#points.raydium[0] ?? this.#points.meteora[0] ?? null;
  }

  set limit(value) {
    this.#limit = value;
    this.draw();
  }

  draw() {
    this.#frame ??= requestAnimationFrame(() => { this.#frame = null; this.#paint(); });
  }

  #paint() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const all = VENUES.flatMap((venue) => this.#points[venue]);
    if (all.length < 2) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const until = Math.max(...all.map(([at]) => at));
    const since = Math.max(until - SPAN_MS, Math.min(...all.map(([at]) => at)) - 1);
    const values = all.map(([, value]) => value);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const near = this.#limit !== null && Math.abs(this.#limit - (low + high) / 2) < (low + high) / 20;
    if (near) [low, high] = [Math.min(low, this.#limit), Math.max(high, this.#limit)];
    const pad = Math.max((high - low) * 0.12, high * 0.0004);
    [low, high] = [low - pad, high + pad];
    const [right, bottom] = [width - RIGHT, height - BOTTOM];
    const x = (at) => ((at - since) / (until - since)) * right;
    const y = (value) => bottom - ((value - low) / (high - low)) * bottom;

    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.fillStyle = colour("quiet");
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    for (const value of ticks(low, high)) {
      const at = Math.round(y(value)) + 0.5;
      line(pen, 0, at, right, at);
      if (at > LABEL_HALF) pen.fillText(price(value), right + 8, at);
    }
    pen.textAlign = "center";
    const step = until - since > 60_000 ? 30_000 : 10_000;
    for (let at = Math.ceil(since / step) * step; at < until; at += step) {
      if (x(at) > 24 && x(at) < right - 24) pen.fillText(new Date(at).toLocaleTimeString("en-GB"), x(at), height - 7);
    }
    pen.textAlign = "left";
    pen.lineJoin = "round";
    pen.lineWidth = 2;
    for (const venue of VENUES) this.#line(pen, this.#points[venue], x, y, colour(venue), bottom);
    if (near) this.#wanted(pen, y(this.#limit), right, colour);
    if (this.#pointer !== null && this.#pointer < right) this.#cross(pen, x, y, right, bottom, colour);
  }

  #line(pen, points, x, y, colour, bottom) {
    if (!points.length) return;
    pen.beginPath();
    points.forEach(([at, value], n) => (n ? pen.lineTo(x(at), y(value)) : pen.moveTo(x(at), y(value))));
    pen.strokeStyle = colour;
    pen.stroke();
    const [at, value] = points.at(-1);
    pen.lineTo(x(at), bottom);
    pen.lineTo(x(points[0][0]), bottom);
    pen.globalAlpha = 0.05;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(x(at), y(value), 3.5, 0, 7);
    pen.fill();
  }

  #wanted(pen, at, right, colour) {
    pen.setLineDash([5, 4]);
    pen.strokeStyle = pen.fillStyle = colour("accent");
    pen.lineWidth = 1.5;
    line(pen, 0, at, right, at);
    pen.setLineDash([]);
    pen.fillRect(right + 2, at - 10, RIGHT - 4, 20);
    pen.fillStyle = colour("accent-text");
    pen.fillText(price(this.#limit), right + 8, at);
  }

  #cross(pen, x, y, right, bottom, colour) {
    pen.strokeStyle = colour("edge");
    pen.lineWidth = 1;
    line(pen, this.#pointer, 0, this.#pointer, bottom);
    const shown = VENUES.map((venue) => [venue, this.#points[venue].findLast(([at]) => x(at) <= this.#pointer)]).filter(([, point]) => point);
    const left = Math.min(this.#pointer + 10, right - 150);
    shown.forEach(([venue, [at, value]], n) => {
      pen.fillStyle = colour("card");
      pen.fillRect(left, 4 + n * 20, 150, 20);
      pen.fillStyle = colour(venue);
      pen.fillText(`${venue} ${price(value)}`, left + 6, 14 + n * 20);
      pen.beginPath();
      pen.arc(x(at), y(value), 4, 0, 7);
      pen.fill();
    });
  }
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

/** About four round values between two. */
function ticks(low, high) {
  const rough = (high - low) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * ([1, 2, 5, 10].find((factor) => size * factor >= rough) ?? 10);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value < high; value += step) found.push(value);
  return found;
}
