// Keeps the landing page true: its figures are fetched anew while somebody looks.
"use strict";

(() => {
  const EVERY_MS = 5000;

  async function renew() {
    const old = document.getElementById("landing");
    if (!old || document.hidden || old.contains(document.activeElement)) return;
    const response = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
    if (!response?.ok || response.redirected) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("landing");
    if (fresh) old.replaceWith(fresh);
  }

  setInterval(renew, EVERY_MS);
})();
