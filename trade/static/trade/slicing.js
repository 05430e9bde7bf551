// How the engine cuts a schedule: how much each slice spends, and when it begins. Pure; orders/plans/schedule.py is what it follows.

import { fromUnits, units } from "./decimals.js";

/**
 * Of `{total, slices}`, `{each, slices}`, `{each, total}` or `{each}` alone (no end), amounts as decimal strings:
 * `{each, last, slices, total}`, where what has no end has null. The last slice takes what rounding has left.
 * Null where a slice would be nothing, or more than all.
 */
export function cut({ total = null, each = null, slices = null }, places) {
  const one = each === null ? units(total, places) / BigInt(slices) : units(each, places);
  const all = total !== null ? units(total, places) : slices ? one * BigInt(slices) : null;
  if (one === 0n || (all !== null && one > all)) return null;
  const text = (value) => fromUnits(value, places);
  if (all === null) return { each: text(one), last: null, slices: null, total: null };
  // More than a number of JavaScript counts exactly are possible: units stay whole until they are text.
  const count = slices ? BigInt(slices) : (all + one - 1n) / one;
  return { each: text(one), last: text(all - one * (count - 1n)), slices: Number(count), total: text(all) };
}

/** The first and the last moment, in ms, at which slice `n` (from 1) may begin: its jitter follows from the plan's id, which it has yet to get. */
export function begins(n, { startMs, everyS, jitterBps = 0 }) {
  const from = startMs + 1000 * everyS * (n - 1);
  return [from, from + (1000 * everyS * jitterBps) / 10_000];
}
