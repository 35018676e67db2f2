"use strict";
// The page is whole without this: it opens what is folded before printing, and marks in the
// contents the section that is being read.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open]):not(.case)")) {
    one.open = true;
    one.dataset.wasClosed = "";
  }
});
addEventListener("afterprint", () => {
  for (const one of document.querySelectorAll("details[data-was-closed]")) {
    one.open = false;
    delete one.dataset.wasClosed;
  }
});
const links = new Map();
for (const link of document.querySelectorAll(".contents a")) {
  links.set(link.hash.slice(1), link);
}
const mark = (name) => {
  for (const [key, link] of links) {
    if (key === name) {
      link.setAttribute("aria-current", "true");
      const row = link.closest("ol");
      if (row.scrollWidth > row.clientWidth) {
        row.scrollLeft = link.offsetLeft - row.offsetLeft - 60;
      }
    } else {
      link.removeAttribute("aria-current");
    }
  }
};
if ("IntersectionObserver" in window) {
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) {
      if (one.isIntersecting) mark(one.target.id);
    }
  }, { rootMargin: "-15% 0px -80% 0px" });
  for (const section of document.querySelectorAll("main > section")) watch.observe(section);
}
