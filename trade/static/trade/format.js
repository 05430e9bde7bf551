// Decimal strings in, text for people out. The texts are for display only.

const grouped = new Map();

function group(least, most) {
  const key = `${least}/${most}`;
  if (!grouped.has(key)) grouped.set(key, new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: most }));
  return grouped.get(key);
}

/** A price with as many places as matter: 104.27, 0.5012, 0.00002013. */
export function price(value) {
  const number = Number(value);
  if (value === null || value === undefined || !Number.isFinite(number)) return "–";
  if (number >= 1000) return group(2, 2).format(number);
  if (number >= 1) return group(4, 4).format(number);
  const places = Math.min(18, 4 - Math.floor(Math.log10(number || 1)));
  return group(0, places).format(number);
}

/** An amount as it is, without the zeros at its end; a share of what the wallet has as one. */
export function amount(value, places = 9) {
  if (value?.percent) return `${value.percent} % of`;
  const number = Number(value);
  return value === null || value === undefined || !Number.isFinite(number) ? "–" : group(0, places).format(number);
}

/** An amount to its last base unit; `value` is a decimal string. */
export function exact(value) {
  return group(0, 18).format(value);
}

/** Seconds in words: 5 min, 1 h 30 min. */
export function spoken(seconds) {
  const left = seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const words = [[Math.floor(left / 86_400), "d"], [Math.floor((left % 86_400) / 3600), "h"], [Math.floor((left % 3600) / 60), "min"], [left % 60, "s"]];
  return words.filter(([count]) => count).slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(" ") || "0 s";
}

/** What an order trades: `1.5 SOL → USDC`, of an exact output `USDC → 2 SOL`. `arrow` is what stands between. */
export function trade(order, arrow = "→") {
  if (order.exactOut) return `${token(order.tokenIn)} ${arrow} ${amount(order.exactOut)} ${token(order.tokenOut)}`;
  return `${amount(order.amount)} ${token(order.tokenIn)} ${arrow} ${token(order.tokenOut)}`;
}

export function compact(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(Number(value));
}

/** Milliseconds: 40 ms, 1.24 s, 3 min. */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

export function percent(bps) {
  return `${group(0, 2).format(Number(bps) / 100)} %`;
}

export function clock(at) {
  const moment = new Date(at);
  const today = new Date().toDateString() === moment.toDateString();
  return moment.toLocaleString("en-GB", today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" });
}

export function short(id, head = 8, tail = 6) {
  return id.length > head + tail + 1 ? `${id.slice(0, head)}…${id.slice(-tail)}` : id;
}

/** An element with attributes and children; text is text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat());
  return made;
}

/** dt/dd pairs; an entry without a value is left out, a third member is a class. */
export function facts(list, entries) {
  list.replaceChildren(
    ...entries
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value, kind]) => element("div", { class: kind }, element("dt", {}, name), element("dd", {}, value))),
  );
}

/** What a token is called: its verified symbol, or enough of its mint to know it again. */
export function token(label) {
  return label.length > 20 ? short(label, 4, 4) : label;
}

/** An order's limit as it was asked for, with what it counts where that is tokenIn. */
export function limit(order) {
  const turned = order.priceIn === "tokenIn";
  const sign = (order.triggerCondition === "lte") === turned ? "≥" : "≤";
  return `${sign}\u00a0${price(order.limitPrice)}${turned ? ` ${token(order.tokenIn)} per ${token(order.tokenOut)}` : ""}`;
}

/** A mint's symbol as the ticket knows it; the mint, shortened, where it does not. */
export function symbol(mint) {
  const known = document.querySelector(`option[data-mint="${CSS.escape(mint)}"]`);
  return known ? known.textContent : short(mint);
}
