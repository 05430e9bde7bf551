// Decimal strings as the API reads them, and numbers as fields hold them. Pure.

export const DECIMAL = /^(0|[1-9]\d*)(\.\d+)?$/;
const PRICE_PLACES = 18;

/** What somebody typed: a comma is a decimal sign, too. */
export const typed = ({ value }) => value.trim().replace(",", ".");

/** A number for a field: so many digits that matter, and never an exponent. */
export function plain(number, digits = 7) {
  return new Intl.NumberFormat("en", { useGrouping: false, maximumSignificantDigits: digits }).format(number);
}

/** A decimal string in whole base units. */
export function units(text, places) {
  const [whole, rest = ""] = text.split(".");
  return BigInt(whole + rest.padEnd(places, "0").slice(0, places));
}

/** Base units as a decimal string. */
export function fromUnits(value, places) {
  const digits = value.toString().padStart(places + 1, "0");
  return places ? `${digits.slice(0, -places)}.${digits.slice(-places)}`.replace(/\.?0+$/, "") : digits;
}

/** A price counted the other way round, as exactly as the API takes one: rounded `up`, or down. */
export function inverse(text, up) {
  const places = text.split(".")[1]?.length ?? 0;
  const value = units(text, places);
  const one = 10n ** BigInt(places + PRICE_PLACES);
  return fromUnits(up ? (one + value - 1n) / value : one / value, PRICE_PLACES);
}
