// Passkeys: shows what needs them where the browser has them, and says in the page what allauth's script only logs.
(() => {
  "use strict";

  const show = (kind) => {
    document.querySelectorAll("[data-passkey-error]").forEach((line) => {
      line.hidden = line.dataset.passkeyError !== kind;
    });
  };

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const name = event.detail.exception?.name;
    show({ InvalidStateError: "known", SecurityError: "place" }[name] || "failed");
  });
  document.addEventListener("click", () => show(""), { capture: true });

  const usable = Boolean(window.PublicKeyCredential);
  document.querySelectorAll("[data-passkey]").forEach((part) => (part.hidden = !usable));
  if (!usable) show("place");
})();
