// Before the first paint: the colours that were chosen here last time.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* storage is closed: the system's colours do */ }
