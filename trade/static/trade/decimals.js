// Exact arithmetic on decimal strings, as the engine does it. Pure.

/** How the API reads numbers. */
export const DECIMAL = /^(0|[1-9]\d*)(\.\d+)?$/;
const PRICE_PLACES = 18;

/** Whole base units of so many decimal places; what is finer is dropped. */
function units(text, places) {
  const [whole, rest = ""] = text.split(".");
  return BigInt(whole + rest.padEnd(places, "0").slice(0, places));
}

function decimal(value, places) {
  const digits = value.toString().padStart(places + 1, "0");
  const text = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** An amount in equal slices of whole base units; the last takes what rounding has left. */
export function parts(total, slices, places) {
  const [all, count] = [units(total, places), BigInt(slices)];
  return { each: decimal(all / count, places), last: decimal(all - (all / count) * (count - 1n), places) };
}

export function times(amount, count, places) {
  return decimal(units(amount, places) * BigInt(count), places);
}

/** One over a price. A bound that is rounded, `up` or down, must not let through what the one asked for refuses. */
export function inverse(text, up) {
  const places = (text.split(".")[1] ?? "").length;
  const [over, by] = [10n ** BigInt(PRICE_PLACES + places), units(text, places)];
  return decimal((over + (up ? by - 1n : 0n)) / by, PRICE_PLACES);
}

/** A number for a field: so many digits that matter, and never an exponent. */
export function plain(number, digits = 7) {
  return new Intl.NumberFormat("en", { useGrouping: false, maximumSignificantDigits: digits }).format(number);
}
