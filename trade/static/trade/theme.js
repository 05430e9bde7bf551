// Light, dark: the system's unless chosen here.

const dark = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

export function start(changed) {
  const button = document.getElementById("theme");
  const named = () => button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  button.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* lasts as long as the page */ }
    named();
    changed();
  });
  dark.addEventListener("change", () => { named(); changed(); });
  named();
}
