// Lists that are filtered while typing, menus that follow the arrow keys, and selects that a question takes back.
(() => {
  "use strict";

  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

  // --- Filters: `data-filters` names the list, `data-filter-text` in it what is looked through, and what surrounds the
  // nearest of `li`, `h3` or `[data-filter-row]` is hidden. A section without any hit goes with its heading.
  const filter = (input) => {
    const list = document.querySelector(input.dataset.filters);
    const wanted = fold(input.value.trim());
    const rowOf = (element) => element.closest("[data-filter-row], li, h3");
    let hits = 0;
    list.querySelectorAll("[data-filter-text]").forEach((element) => {
      const fits = fold(element.dataset.filterText).includes(wanted);
      hits += fits ? 1 : 0;
      rowOf(element).hidden = !fits;
    });
    list.querySelectorAll("[data-filter-section]").forEach((section) => {
      const any = section.querySelector("[data-filter-text]:not([hidden] *)");
      section.hidden = Boolean(wanted) && !any;
      section.querySelectorAll(".menu-new").forEach((row) => (row.hidden = Boolean(wanted)));
    });
    const none = document.querySelector(input.dataset.filterEmpty);
    if (none) none.hidden = hits > 0;
  };
  document.addEventListener("input", (event) => event.target.matches?.("[data-filters]") && filter(event.target));

  // --- Arrow keys walk through the links of a menu; Enter in its filter opens the first one.
  const stops = (menu) => Array.from(menu.querySelectorAll("input, a")).filter((stop) => stop.checkVisibility());
  document.addEventListener("keydown", (event) => {
    const details = event.target.closest?.("details.menu");
    const menu = details?.querySelector("[data-arrows]");
    if (!menu) return;
    if (event.key === "Enter" && event.target.matches("input")) {
      event.preventDefault();
      const first = stops(menu).find((stop) => stop.dataset.filterText !== undefined);
      if (event.target.value.trim() && first) first.click();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || (!details.open && event.target.matches("summary") && step < 0)) return;
    event.preventDefault();
    details.open = true;
    const all = stops(menu);
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + step))]?.focus();
  });
  document.addEventListener(
    "toggle",
    (event) => {
      const input = event.target.open && event.target.matches?.(".switcher") && event.target.querySelector("[data-filters]");
      if (input) input.focus();
    },
    true,
  );

  // --- Dialogs that are links without this script: there the page comes with the dialog open, here it becomes modal.
  document.addEventListener("click", (event) => event.target.closest?.("a[data-dialog]") && event.preventDefault());
  const shutAsked = () => document.querySelectorAll("dialog[open][data-open]").forEach((one) => one.removeAttribute("open"));
  document.addEventListener("htmx:afterSettle", shutAsked);
  shutAsked();

  // --- What only works with this script shows itself.
  const reveal = () => document.querySelectorAll("[data-needs-script]").forEach((element) => (element.hidden = false));
  document.addEventListener("htmx:afterSettle", reveal);

  // --- A select whose question was answered with no goes back to what is stored.
  document.getElementById("confirm-dialog").addEventListener("close", (event) => {
    if (event.target.returnValue === "yes") return;
    document.querySelectorAll("form[data-takes-back]").forEach((form) => form.reset());
  });

  reveal();
})();
