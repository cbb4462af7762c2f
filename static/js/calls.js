// The history of calls: a menu of filters stays open while its boxes are ticked one after another.
(() => {
  "use strict";

  let open = [];
  let focused = "";

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig } = event.detail;
    if (target.id !== "history") return;
    const filters = requestConfig?.elt?.id === "filters" ? target.querySelectorAll(".filter-menu[open]") : [];
    open = Array.from(filters, (menu) => menu.id);
    focused = open.length ? document.activeElement.id : "";
  });

  // Enter in a field would send its change and then the form: one of the two is enough.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches?.("#filters input[type='text']")) return;
    event.preventDefault();
    event.target.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // What had the focus has come anew inside a menu that was closed, where htmx could not give it back.
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) {
      const menu = document.getElementById(id);
      if (menu) menu.open = true;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    open = [];
    focused = "";
  });
})();
