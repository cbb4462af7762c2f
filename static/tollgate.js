// What htmx and plain HTML do not do by themselves. Loaded with `defer`; no inline scripts anywhere.
(() => {
  "use strict";

  const YEAR_S = 31536000;
  const setCookie = (name, value) => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; SameSite=Lax${secure}`;
  };
  const find = (id) => document.getElementById(id);

  // The server shows times in the zone that this cookie names (accounts/timezones.py).
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes(`timezone=${zone}`)) setCookie("timezone", zone);

  // --- Colours: the server reads the cookie, so that no page flashes in the wrong ones.
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submits]")) event.target.form.requestSubmit();
    if (event.target.name !== "theme") return;
    document.documentElement.dataset.theme = event.target.value;
    setCookie("theme", event.target.value);
  });

  // --- Toasts
  const say = (text) => {
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.textContent = text;
    find("toasts").replaceChildren(toast);
    setTimeout(() => toast.remove(), 5000);
  };

  // --- Copying
  const copied = async (button) => {
    const source = find(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without https there is no clipboard for scripts: select the text, and copy it the old way.
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (!document.execCommand("copy")) return;
    }
    button.classList.add("is-done");
    say(button.dataset.done);
    setTimeout(() => button.classList.remove("is-done"), 2000);
  };

  // --- Dialogs
  const open = (dialog) => {
    if (dialog && !dialog.open) dialog.showModal();
  };
  const close = (dialog) => {
    if (dialog && dialog.open) dialog.close();
  };
  const openAsked = () => {
    document.querySelectorAll("dialog[data-open]").forEach((dialog) => {
      dialog.removeAttribute("data-open");
      open(dialog);
      dialog.querySelector("[aria-invalid=true]")?.focus();
    });
    const focus = document.querySelector("[data-focus]");
    if (focus) {
      focus.removeAttribute("data-focus");
      focus.focus({ preventScroll: true });
    }
  };

  // --- Rows that lead somewhere: the link in the first cell does it for keyboards, the whole row for pointers.
  const followRow = (event) => {
    const row = event.target.closest("tr[data-href]");
    if (!row || event.target.closest("a, button, input, label")) return;
    if (!getSelection().isCollapsed) return;
    if (event.ctrlKey || event.metaKey) window.open(row.dataset.href, "_blank", "noopener");
    else row.querySelector("a.row-link").click();
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-copy], [data-dialog], [data-dialog-close], #live-switch, dialog");
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    if (!target) return followRow(event);
    if (target.dataset.copy) return void copied(target);
    if (target.dataset.dialog) return open(find(target.dataset.dialog));
    if ("dialogClose" in target.dataset) {
      const dialog = target.closest("dialog");
      if (!dialog) return undefined;
      event.preventDefault();
      return close(dialog);
    }
    if (target.id === "live-switch") return setLive(target.getAttribute("aria-checked") !== "true");
    // A click on the dialog itself, not on what is in it, is a click on the shade around it.
    if (target === event.target && target.matches("dialog")) {
      const box = target.getBoundingClientRect();
      const inside =
        event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      if (!inside) close(target);
    }
    return undefined;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    const cancel = event.target.closest?.("form[data-cancel]");
    if (cancel) document.querySelector(CSS.escape ? `#${CSS.escape(cancel.dataset.cancel.slice(1))}` : "").click();
  });

  // --- Questions before what cannot be undone, in a dialog of ours instead of the browser's.
  document.addEventListener("htmx:confirm", (event) => {
    const { question, elt, issueRequest } = event.detail;
    if (!question) return;
    event.preventDefault();
    const dialog = find("confirm-dialog");
    find("confirm-question").textContent = question;
    find("confirm-detail").textContent = elt.dataset.confirmDetail || "";
    find("confirm-yes").textContent = elt.dataset.confirmYes || "OK";
    const no = find("confirm-no");
    no.dataset.text ??= no.textContent;
    no.textContent = elt.dataset.confirmNo || no.dataset.text;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && issueRequest(true), { once: true });
    open(dialog);
  });

  // --- Live rows. The server answers with the whole first page where it changed; rows that stand there already are
  // kept as they are, so that focus, selection and scroll position survive, and a late row finds its place in between.
  const LIVE = "live";
  // Only a page that has the switch can be paused by it.
  const isPaused = () => find("live-switch") !== null && sessionStorage.getItem(LIVE) === "off";
  let announcedAt = 0;

  const showLive = () => find("live-switch")?.setAttribute("aria-checked", String(!isPaused()));
  const setLive = (on) => {
    sessionStorage.setItem(LIVE, on ? "on" : "off");
    showLive();
    if (on && find("live")) htmx.trigger("#live", "refresh");
  };
  const announce = () => {
    const news = find("live-news");
    if (!news || Date.now() - announcedAt < 30000) return;
    announcedAt = Date.now();
    news.textContent = "";
    setTimeout(() => (news.textContent = news.dataset.news), 50);
  };

  htmx.defineExtension("rows", {
    isInlineSwap: (style) => style === "rows",
    handleSwap: (style, body, fragment) => {
      if (style !== "rows") return false;
      const coming = Array.from(fragment.querySelectorAll("tr"));
      const kept = new Set(coming.map((row) => row.id));
      const added = [];
      let place = body.firstElementChild;
      for (const row of coming) {
        const existing = find(row.id);
        if (existing) {
          place = existing.nextElementSibling;
          continue;
        }
        body.insertBefore(row, place);
        row.classList.add("is-new");
        added.push(row);
      }
      for (const row of Array.from(body.children)) if (!kept.has(row.id)) row.remove();
      if (added.length) announce();
      return added;
    },
  });

  // --- Morphing: what stands there turns into what has come. Whatever can stay, stays: a picture is not loaded again, and
  // focus, selection and scroll position survive. Elements with an id are told apart by it, others by their place.
  const takeAttributes = (old, coming) => {
    for (const { name } of Array.from(old.attributes)) {
      if (name !== "open" && !coming.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of coming.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  };
  const isTwin = (old, coming) => old && old.nodeName === coming.nodeName && (old.id || "") === (coming.id || "");
  const morph = (old, coming, added) => {
    if (old.isEqualNode(coming)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) return void (old.data = coming.data);
    takeAttributes(old, coming);
    const ids = new Set(Array.from(coming.children, (child) => child.id));
    for (const child of Array.from(old.children)) if (child.id && !ids.has(child.id)) child.remove();
    let place = old.firstChild;
    for (const child of Array.from(coming.childNodes)) {
      const existing = child.id ? Array.from(old.children).find((one) => isTwin(one, child)) : place;
      if (!isTwin(existing, child)) {
        old.insertBefore(child, place);
        if (child.nodeType === Node.ELEMENT_NODE) added.push(child);
        continue;
      }
      if (existing === place) place = place.nextSibling;
      else old.insertBefore(existing, place);
      morph(existing, child, added);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  };
  htmx.defineExtension("morph", {
    isInlineSwap: (style) => style === "morph",
    handleSwap: (style, target, fragment) => {
      const coming = style === "morph" && fragment.querySelector(`#${target.id}`);
      if (!coming) return false;
      const added = [];
      morph(target, coming, added);
      const cards = added.filter((element) => element.matches(".task-card"));
      cards.forEach((card) => card.classList.add("is-new"));
      if (cards.length) announce();
      return added;
    },
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "live") {
      if (document.hidden || isPaused() || document.querySelector("dialog[open]")) event.preventDefault();
      return;
    }
    find("progress").classList.add("is-busy");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.id !== "live") find("progress").classList.remove("is-busy");
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && find("live")) htmx.trigger("#live", "refresh");
  });

  const failed = (kind) => (event) => {
    if (event.target.id !== "live") say(find("toasts").dataset[kind]);
  };
  document.addEventListener("htmx:responseError", failed("failed"));
  document.addEventListener("htmx:sendError", failed("offline"));

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id === "move-dialog-body") open(find("move-dialog"));
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    openAsked();
    showLive();
    showTab();
    const swapped = event.detail.elt;
    const wanted = swapped?.querySelector?.("[aria-invalid=true]") || swapped?.querySelector?.("[autofocus]");
    if (wanted && !wanted.closest("dialog:not([open])")) wanted.focus();
    if (swapped?.id === "main" && find("messages")?.firstElementChild) find("messages").focus({ preventScroll: true });
  });

  // --- Tabs: the current one is in sight, however many stand before it.
  const showTab = () =>
    document.querySelectorAll(".tabs [aria-current]").forEach((tab) => {
      const row = tab.closest("ul");
      const before = tab.getBoundingClientRect().left - row.getBoundingClientRect().left;
      row.scrollLeft += before - (row.clientWidth - tab.offsetWidth) / 2;
    });

  // --- Pictures whose file is gone make way for the words that stand behind them.
  const dropBroken = (image) => image.matches?.("img[data-picture]") && image.remove();
  document.addEventListener("error", (event) => dropBroken(event.target), true);
  document.querySelectorAll("img").forEach((image) => image.complete && !image.naturalWidth && dropBroken(image));

  // --- Charts: the figures of the column under the pointer, or under the arrow keys.
  const showColumn = (plot, number) => {
    const status = plot.closest("[data-chart]").querySelector("[data-chart-status]");
    plot.querySelectorAll(".is-on").forEach((marked) => marked.classList.remove("is-on"));
    plot.querySelectorAll(".tip").forEach((tip) => (tip.hidden = tip.dataset.tip !== number));
    const column = number && plot.querySelector(`.day[data-day="${number}"]`);
    plot.dataset.at = number || "";
    if (!column) return;
    column.classList.add("is-on");
    plot.querySelectorAll(`[data-dot="${number}"]`).forEach((dot) => dot.classList.add("is-on"));
    const tip = plot.querySelector(`.tip[data-tip="${number}"]`);
    const at = column.querySelector(".slot").getBoundingClientRect();
    const box = plot.getBoundingClientRect();
    const after = at.right - box.left + 6;
    const before = at.left - box.left - tip.offsetWidth - 6;
    const left = after + tip.offsetWidth <= box.width || before < 0 ? Math.min(after, box.width - tip.offsetWidth) : before;
    tip.style.left = `${left}px`;
    if (document.activeElement === plot) status.textContent = tip.innerText.replace(/\s+/g, " ");
  };
  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.(".chart-plot");
    document.querySelectorAll(".chart-plot").forEach((other) => other !== plot && other.dataset.at && showColumn(other, ""));
    if (!plot) return;
    const number = event.target.closest(".day")?.dataset.day;
    if (number && number !== plot.dataset.at) showColumn(plot, number);
  });
  document.addEventListener("keydown", (event) => {
    const plot = event.target.closest?.(".chart-plot");
    if (!plot) return;
    const count = plot.querySelectorAll(".day").length;
    const at = Number(plot.dataset.at);
    const wanted = { ArrowRight: at + 1, ArrowLeft: (at || count + 1) - 1, Home: 1, End: count, Escape: 0 }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    showColumn(plot, wanted ? String(Math.max(1, Math.min(count, wanted))) : "");
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.(".chart-plot")) showColumn(event.target, "");
  });

  openAsked();
  showLive();
  showTab();
})();
