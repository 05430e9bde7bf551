// The last minutes of both venues' prices on a canvas; lines are prices that the ticket (dashed) or a plan (solid) waits for.

import { price } from "./format.js";

const SPAN_MS = 120_000;
const VENUES = ["raydium", "meteora"];
const RIGHT = 70;
const TAG = 20;
const LABEL_HALF = 8;
const BOTTOM = 20;
const FARTHEST = 3; // Times the present price: a line beyond it would leave nothing of the prices to see.

export class Chart {
  #points = { raydium: [], meteora: [] };
  #lines = [];
  #scale = null;
  #held = false;
  #pointer = null;
  #frame = null;

  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    const plot = canvas.parentElement;
    plot.addEventListener("pointermove", (event) => { this.#pointer = event.clientX - canvas.getBoundingClientRect().left; this.draw(); });
    plot.addEventListener("pointerleave", () => { this.#pointer = null; this.draw(); });
  }

  clear() {
    this.#points = { raydium: [], meteora: [] };
    this.#scale = null;
    this.draw();
  }

  /** The same prices, counted the other way round. */
  turn() {
    for (const venue of VENUES) this.#points[venue] = this.#points[venue].map(([at, value]) => [at, 1 / value]);
    this.#scale = null;
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

  /** `{value, colour, draft}` each. */
  set lines(lines) {
    this.#lines = lines;
    this.draw();
  }

  /** The scale stays as it is while a line is moved. */
  set held(held) {
    this.#held = held;
    this.draw();
  }

  /** Where a price stands, in pixels from the top; null where it is not on show. */
  y(value) {
    if (!this.#scale) return null;
    const { low, high, bottom } = this.#scale;
    const at = bottom - ((value - low) / (high - low)) * bottom;
    return at >= 0 && at <= bottom ? at : null;
  }

  /** The price at so many pixels from the top. */
  value(y) {
    const { low, high, bottom } = this.#scale;
    return low + ((bottom - Math.min(bottom, Math.max(0, y))) / bottom) * (high - low);
  }

  /** Called after each drawing. */
  drawn = () => {};

  draw() {
    this.#frame ??= requestAnimationFrame(() => { this.#frame = null; this.#paint(); this.drawn(); });
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
    const bottom = height - BOTTOM;
    const [low, high] = this.#range(Math.min(...values), Math.max(...values), bottom);
    pen.font = "12px system-ui, sans-serif";
    const shown = this.#lines.filter(({ value }) => value > low && value < high);
    // As wide as the longest price, in steps: what is dragged does not shake the rest.
    const widest = Math.max(0, ...[...ticks(low, high), ...shown.map(({ value }) => value)].map((value) => pen.measureText(price(value)).width));
    const right = width - Math.max(RIGHT, Math.ceil((widest + 16) / 10) * 10);
    const x = (at) => ((at - since) / (until - since)) * right;
    const y = (value) => bottom - ((value - low) / (high - low)) * bottom;
    const tags = apart(shown.map(({ value }) => y(value)), TAG, bottom);

    pen.textBaseline = "middle";
    pen.fillStyle = colour("quiet");
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    for (const value of ticks(low, high)) {
      const at = Math.round(y(value)) + 0.5;
      line(pen, 0, at, right, at);
      if (at > LABEL_HALF && tags.every((tag) => Math.abs(tag - at) > TAG - 2)) pen.fillText(price(value), right + 8, at);
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
    shown.forEach((each, n) => this.#wanted(pen, each, y(each.value), tags[n], right, width, colour));
    if (this.#pointer !== null && this.#pointer < right) this.#cross(pen, x, y, right, bottom, colour);
  }

  /** The prices on show, from the lowest to the highest, with the lines among them. */
  #range(lowest, highest, bottom) {
    if (this.#held && this.#scale) return [this.#scale.low, this.#scale.high];
    let [low, high] = [lowest, highest];
    const middle = (low + high) / 2;
    for (const { value } of this.#lines) {
      if (value < middle * FARTHEST && value > middle / FARTHEST) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    const pad = Math.max((high - low) * 0.12, high * 0.0004);
    this.#scale = { low: low - pad, high: high + pad, bottom };
    return [low - pad, high + pad];
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

  #wanted(pen, wanted, at, tag, right, width, colour) {
    pen.setLineDash(wanted.draft ? [5, 4] : []);
    pen.strokeStyle = pen.fillStyle = colour(wanted.colour);
    pen.lineWidth = 1.5;
    line(pen, 0, at, right, at);
    pen.setLineDash([]);
    if (tag !== at) line(pen, right, at, right + 4, tag);
    const box = [right + 2, tag - TAG / 2 + 1, width - right - 3, TAG - 2];
    if (wanted.draft) {
      pen.fillStyle = colour("card");
      pen.fillRect(...box);
      pen.strokeRect(...box);
      pen.fillStyle = colour(wanted.colour);
    } else {
      pen.fillRect(...box);
      pen.fillStyle = colour("card");
    }
    pen.fillText(price(wanted.value), right + 8, tag);
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

/** The heights, moved as little as it takes to stand `gap` apart and above the bottom, in the order given. */
function apart(heights, gap, bottom) {
  const order = heights.map((at, n) => [at, n]).sort(([a], [b]) => a - b);
  const placed = [];
  let last = -Infinity;
  for (const [at, n] of order) placed[n] = last = Math.max(at, last + gap, gap / 2);
  last = bottom + gap / 2;
  for (const [, n] of order.reverse()) placed[n] = last = Math.min(placed[n], last - gap);
  return placed;
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
