// The reference of the management API: Swagger UI in our theme, with the session's CSRF token on what writes.
"use strict";

(() => {
  const place = document.getElementById("api-docs");
  const root = document.documentElement;
  const darkness = window.matchMedia("(prefers-color-scheme: dark)");

  // Swagger UI has dark colours of its own under this class.
  function follow() {
    const chosen = root.dataset.theme;
    root.classList.toggle("dark-mode", chosen === "dark" || (chosen !== "light" && darkness.matches));
  }
  new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
  darkness.addEventListener("change", follow);
  follow();

  // A key is pasted in once; a session is there or not, and needs nothing typed.
  function withKeyAlone(spec) {
    const { bearer } = spec.components.securitySchemes;
    spec.components.securitySchemes = { bearer };
    for (const operations of Object.values(spec.paths)) {
      for (const operation of Object.values(operations)) operation.security = [{ bearer: [] }];
    }
    return spec;
  }

  function withToken(request) {
    const isOurs = new URL(request.url, location.href).origin === location.origin;
    if (isOurs && place.dataset.csrf && !["GET", "HEAD"].includes(request.method || "GET")) {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  }

  function show(spec) {
    // The page may be asked under another name than the document was made for.
    spec.servers = [{ url: location.origin }];
    window.SwaggerUIBundle({
      domNode: place,
      spec: withKeyAlone(spec),
      presets: [window.SwaggerUIBundle.presets.apis],
      layout: "BaseLayout",
      deepLinking: true,
      docExpansion: "none",
      defaultModelsExpandDepth: -1,
      displayRequestDuration: true,
      filter: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      requestInterceptor: withToken,
    });
  }

  // What Swagger UI leaves without a name, or out of the keyboard's reach. Its rows are buttons with a link inside.
  function mend() {
    for (const field of place.querySelectorAll("textarea.body-param__text")) field.ariaLabel = place.dataset.body;
    for (const field of place.querySelectorAll(".examples-select-element")) field.ariaLabel = place.dataset.examples;
    for (const code of place.querySelectorAll("pre.microlight:not([tabindex])")) code.tabIndex = 0;
    for (const link of place.querySelectorAll("button a[href]")) link.removeAttribute("href");
  }
  new MutationObserver(mend).observe(place, { childList: true, subtree: true });

  async function start() {
    try {
      const answer = await fetch(place.dataset.schema);
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.json());
    } catch {
      const notice = document.createElement("p");
      notice.className = "notice bad";
      notice.setAttribute("role", "alert");
      notice.textContent = place.dataset.failed;
      place.replaceChildren(notice);
    }
  }
  start();
})();
