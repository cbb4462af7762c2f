// Images of the playground: an order, its exact price beforehand, and its task followed to the end.
(() => {
  "use strict";

  if (!window.playground) return;
  const { words, call, read, showBalance, make } = window.playground;
  const find = (id) => document.getElementById(id);
  const POLL_MS = 1000;
  const POLLS_MAX = 1800;
  const choices = ["resolutions", "ratios", "counts", "backgrounds", "factors"];

  const offered = (name) => (find("model").selectedOptions[0].dataset[name] || "").split(" ").filter(Boolean);
  const files = () => Array.from(find("sources").files);
  const actionOf = () => {
    const actions = offered("actions");
    if (actions.includes("upscale_image")) return "upscale_image";
    return files().length && actions.includes("edit_image") ? "edit_image" : "text_to_image";
  };
  const needsSources = () => actionOf() === "upscale_image";

  // --- The form shows what the chosen model offers, and keeps what was chosen where the model offers it too.
  const showOffer = () => {
    for (const name of choices) {
      const select = find(name);
      const values = offered(name);
      const before = select.value;
      select.replaceChildren(...values.map((value) => make("option", { value }, value)));
      if (values.includes(before)) select.value = before;
      select.closest("[data-choice]").hidden = values.length < 2;
    }
    document.querySelector("[data-choice=prompt]").hidden = needsSources();
    find("sources-optional").hidden = needsSources();
    find("sources").multiple = Number(find("model").selectedOptions[0].dataset.sourcesMax) > 1;
    showPrice();
  };
  const orderBody = (sources) => {
    const body = { model: find("model").value };
    if (!needsSources()) body.prompt = find("prompt").value.trim();
    for (const name of choices) {
      const { value, dataset } = find(name);
      if (value) body[dataset.field] = "number" in dataset ? Number(value) : value;
    }
    if (sources.length) body.source_image_urls = sources;
    return body;
  };

  // --- The price, asked for again whenever something that it depends on changes; a late answer to an old question is dropped.
  let asked = 0;
  const showPrice = async () => {
    const turn = ++asked;
    // What a source is does not change the price; a quote wants to see that there is one.
    const body = orderBody(actionOf() === "text_to_image" ? [] : ["https://example.com/source.png"]);
    if ("prompt" in body) body.prompt ||= "-";
    const quote = await read("/v1/price_quotes", { body: { endpoint: `/v1/${actionOf()}`, body } }).catch(() => null);
    if (turn !== asked) return;
    const amount = quote && (quote.price ?? quote.upper_bound);
    find("price").replaceChildren(...(amount ? [`${words.costs} `, make("b", {}, `$${amount}`)] : []));
  };

  const complain = (text) => {
    find("order-error").hidden = !text;
    find("order-error").textContent = text;
  };

  // --- Results
  const addResult = (body) => {
    find("blank").hidden = true;
    const state = make("span", { class: "badge accent" }, words.pending);
    const head = make("header", { class: "result-head" }, make("p", { class: "result-prompt", dir: "auto" }, body.prompt || body.model), state);
    const pictures = make("div", { class: "result-pictures" });
    for (let at = 0; at < (body.output_count || 1); at += 1) pictures.append(make("div", { class: "result-blank" }));
    const facts = make("p", { class: "message-facts" });
    const item = make("li", { class: "card result", "aria-busy": "true" }, head, pictures, facts);
    find("results").prepend(item);
    return { item, state, pictures, facts };
  };
  const showEnd = (shown, task) => {
    const isDone = task.status === "completed";
    shown.item.removeAttribute("aria-busy");
    shown.state.className = `badge ${isDone ? "good" : "bad"}`;
    shown.state.textContent = words[task.status] || task.status;
    const { images = [], billing, error } = task;
    shown.pictures.replaceChildren(
      ...images.map((image, index) =>
        make("a", { href: image.url, target: "_blank", rel: "noopener" },
          make("img", { src: image.url, width: image.width, height: image.height, alt: `${words.picture} ${index + 1}` })),
      ),
    );
    if (error) shown.pictures.append(make("p", { class: "message-note is-bad", role: "alert" }, error.message));
    const paid = isDone ? `$${billing.charged} ${words.charged}` : words.free;
    shown.facts.replaceChildren(
      make("span", {}, task.model),
      make("span", {}, paid),
      make("a", { href: words.taskUrl.replace("TASK", task.id) }, words.details),
    );
    showBalance().catch(() => null);
  };
  const followTask = async (shown, id) => {
    for (let polls = 0; polls < POLLS_MAX; polls += 1) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (document.hidden) continue;
      const task = await read(`/v1/tasks/${id}`).catch(() => null);
      if (!task) continue;
      if (["completed", "failed"].includes(task.status)) return showEnd(shown, task);
      shown.state.textContent = words[task.status] || task.status;
    }
    return shown.facts.replaceChildren(words.expired);
  };

  // --- Ordering
  const upload = async (file) => {
    const form = new FormData();
    form.append("purpose", "vision");
    form.append("file", file);
    return (await read("/v1/files", { body: form })).id;
  };
  const order = async () => {
    const path = `/v1/${actionOf()}`;
    if (path !== "/v1/text_to_image" && !files().length) throw new Error(words.sources);
    const sources = path === "/v1/text_to_image" ? [] : await Promise.all(files().map(upload));
    const body = orderBody(sources);
    const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) };
    const task = await read(path, { body, headers });
    followTask(addResult(body), task.id);
  };
  find("order").addEventListener("submit", async (event) => {
    event.preventDefault();
    complain("");
    find("send").disabled = true;
    try {
      await order();
      showBalance().catch(() => null);
    } catch (error) {
      complain(error.message);
    }
    find("send").disabled = false;
  });
  find("order").addEventListener("change", (event) => {
    if (event.target.id === "model") showOffer();
    else if (event.target.id !== "prompt") showPrice();
  });
  showOffer();
})();
