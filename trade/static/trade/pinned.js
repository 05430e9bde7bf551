// Keeps the chart in sight while what its lines belong to is: the open plan, the ticket's exits or price band.

const GAP = 8;

/** `card` holds `plot`, the chart; `edited` are the parts of the page whose lines it shows. */
export function pin(card, plot, edited) {
  const seen = new Set();
  const settle = () => {
    const pinned = seen.size > 0 && plot.querySelector(".line") !== null;
    card.classList.toggle("pinned", pinned);
    // What is above the chart scrolls away; what is focused below the rest of its card is not covered.
    const above = Math.max(0, plot.getBoundingClientRect().top - card.getBoundingClientRect().top - GAP);
    card.style.setProperty("--above", `${above}px`);
    document.documentElement.style.scrollPaddingTop = pinned ? `${card.offsetHeight - above + GAP}px` : "";
  };
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target) : seen.delete(target);
    settle();
  });
  for (const each of edited) watch.observe(each);
  new ResizeObserver(settle).observe(card);
  new MutationObserver(settle).observe(plot, { childList: true });
}
