// Decimal strings as the API reads them, and numbers as fields hold them. Pure.

export const DECIMAL = /^(0|[1-9]\d*)(\.\d+)?$/;

/** A number for a field: so many digits that matter, and never an exponent. */
export function plain(number, digits = 7) {
  return new Intl.NumberFormat("en", { useGrouping: false, maximumSignificantDigits: digits }).format(number);
}
