// The button that prints a statement. It stays hidden where scripts do not run.
(() => {
  "use strict";

  const show = () => document.querySelectorAll("[data-print]").forEach((button) => (button.hidden = false));
  document.addEventListener("click", (event) => event.target.closest?.("[data-print]") && window.print());
  document.addEventListener("htmx:afterSettle", show);
  show();
})();
