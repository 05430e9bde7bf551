// REST, with the credential of this page: the session, a pasted key, or local mode's account.

const page = document.body.dataset;
let key = null;
try { key = sessionStorage.getItem("key"); } catch { /* storage is closed: the key lasts as long as the page */ }

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, code: error.code, details: error.details ?? {}, requestId: error.requestId });
  }
}

export const known = () => Boolean(page.local || page.signedIn || key);

export function useKey(value) {
  key = value;
  try { sessionStorage.setItem("key", value); } catch { /* as above */ }
}

export function removeKey() {
  key = null;
  try { sessionStorage.removeItem("key"); } catch { /* as above */ }
}

/** The answer's JSON. Throws `ApiError`; `status` 0 means that nobody answered. */
export async function call(path, { method = "GET", body, signal, headers: more } = {}) {
  const headers = { Accept: "application/json", ...more };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
  else if (method !== "GET") headers["X-CSRFToken"] = page.csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "UNREACHABLE", message: "The engine cannot be reached; nothing was sent twice. Try again." });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer.error ?? { code: "ERROR", message: `The engine answered ${response.status}.` });
  return answer;
}

/** Whether the engine refused a price so far from the market that it may be a slip, and whoever sits here means it. */
export const isMeant = (error) => error.code === "PRICE_NOT_SENSIBLE" && confirm("This price is more than 10 times away from the market. Do you mean it?");

/** Where a socket connects to; with a pasted key by a ticket of one use. */
export async function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (key) url.searchParams.set("ticket", (await call("/api/ws-ticket", { method: "POST" })).ticket);
  return url;
}
