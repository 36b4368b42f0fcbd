// Starts the parts, marks the section that is read in the navigation, and opens what is folded before printing.

document.querySelectorAll(".needs-script").forEach((part) => { part.hidden = false; });
const scored = metricNames.length > 0;
if (scored) explorer();
const pictures = gallery.length ? comparison() : null;
if (scored) scatter(pictures);

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const link = links.get(entry.target.id), bar = link.closest("ul");
    set(link, { "aria-current": entry.isIntersecting ? "true" : null });
    if (entry.isIntersecting) bar.scrollLeft = link.offsetLeft - (bar.clientWidth - link.offsetWidth) / 2; // a phone's is cut off
  }
}, { rootMargin: "-30% 0px -65% 0px" }); // a band of the window that only one section can cross
document.querySelectorAll("main > section").forEach((section) => reading.observe(section));

let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((part) => { part.open = true; });
});
window.addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));
