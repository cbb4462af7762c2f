// The chat of the playground. Answers come as a stream; what stands in `history` is what is sent with the next message.
(() => {
  "use strict";

  if (!window.playground) return;
  const { words, call, read, layOut, showBalance, make } = window.playground;
  const find = (id) => document.getElementById(id);
  const LAYOUT_EVERY_MS = 350;
  const SETTLED_AFTER_MS = [0, 500, 1000, 2000, 4000, 8000, 16000];
  let history = [];
  let running = null;

  // --- What is asked
  const numberOf = (id) => {
    const text = find(id).value.trim();
    if (!text) return undefined;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Error(words.badNumber);
    return value;
  };
  const toolsOf = () => {
    const text = find("tools").value.trim();
    if (!text) return undefined;
    const tools = JSON.parse(text);
    if (!Array.isArray(tools)) throw new SyntaxError();
    return tools.length ? tools : undefined;
  };
  const requestBody = () => {
    const body = { model: find("model").value };
    const system = find("system").value.trim();
    body.messages = [...(system ? [{ role: "system", content: system }] : []), ...history];
    try {
      body.tools = toolsOf();
    } catch {
      throw new Error(words.badTools);
    }
    body.max_completion_tokens = numberOf("max-tokens");
    body.temperature = numberOf("temperature");
    return body;
  };
  const showCode = () => {
    let body;
    try {
      body = { ...requestBody(), stream: true };
    } catch {
      return;
    }
    const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
    find("as-code").textContent =
      `curl ${location.origin}/v1/chat/completions \\\n  -H "Authorization: Bearer $TOLLGATE_API_KEY" \\\n` +
      `  -H "Content-Type: application/json" \\\n  -d '${json}'`;
  };
  const complain = (text) => {
    find("settings-error").hidden = !text;
    find("settings-error").textContent = text;
  };

  // --- What is shown
  const list = find("conversation");
  const isAtEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const follow = (wasAtEnd) => {
    if (wasAtEnd) list.scrollTop = list.scrollHeight;
  };
  const addMessage = (role, name) => {
    find("blank").hidden = true;
    const text = make("div", { class: "message-text", dir: "auto" });
    const item = make("li", { class: `message is-${role}` }, make("p", { class: "message-name" }, name), text);
    list.append(item);
    list.scrollTop = list.scrollHeight;
    return { item, text };
  };
  const addNote = (item, text, kind, retry) => {
    const wasAtEnd = isAtEnd();
    const note = make("p", { class: `message-note is-${kind}`, role: kind === "bad" ? "alert" : null }, text);
    if (retry) {
      const button = make("button", { type: "button", class: "button small" }, words.retry);
      button.addEventListener("click", () => {
        item.remove();
        answer();
      });
      note.append(" ", button);
    }
    item.append(note);
    follow(wasAtEnd);
  };
  const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  // A stream that was stopped is settled a little later: when its end at the provider is known.
  const readRecord = async (callId) => {
    for (const wait of SETTLED_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      const record = await read(`/v1/calls/${callId}`).catch(() => null);
      if (record) return record;
    }
    return null;
  };
  const showCharge = async (item, callId) => {
    const record = await readRecord(callId);
    if (!record) return;
    const { usage } = record;
    const tokens = (count, name) => (count ? `${count.toLocaleString(document.documentElement.lang)} ${name}` : null);
    const facts = [
      `$${record.charge} ${words.charged}`,
      usage && tokens(usage.input_tokens, words.in),
      usage && tokens(usage.cached_input_tokens, words.cached),
      usage && tokens(usage.output_tokens, words.out),
      record.first_token_ms === null ? null : `${seconds(record.first_token_ms)} ${words.firstToken}`,
      seconds(record.duration_ms),
    ].filter(Boolean);
    const wasAtEnd = isAtEnd();
    const link = make("a", { href: words.callUrl.replace("CALL", callId) }, words.details);
    item.append(
      make("p", { class: "message-facts" }, ...facts.map((fact) => make("span", {}, fact)), link),
    );
    follow(wasAtEnd);
    showBalance().catch(() => null);
  };

  // The text is shown as it comes and laid out by the server now and then, and once more at its end.
  const writer = (target) => {
    let text = "";
    let laidOut = "";
    let busy = false;
    const layOutNow = async () => {
      if (busy || laidOut === text) return;
      busy = true;
      const asked = text;
      const html = await layOut(asked).catch(() => null);
      busy = false;
      if (html === null) return;
      const wasAtEnd = isAtEnd();
      laidOut = asked;
      target.innerHTML = html;
      const rest = text.slice(asked.length);
      if (rest) target.append(make("span", { class: "message-rest" }, rest));
      follow(wasAtEnd);
    };
    const timer = setInterval(layOutNow, LAYOUT_EVERY_MS);
    return {
      add: (piece) => {
        const wasAtEnd = isAtEnd();
        text += piece;
        if (target.lastChild?.className !== "message-rest") target.append(make("span", { class: "message-rest" }));
        target.lastChild.append(piece);
        follow(wasAtEnd);
      },
      end: async () => {
        clearInterval(timer);
        while (busy) await new Promise((resolve) => setTimeout(resolve, 20));
        await layOutNow();
        return text;
      },
      get text() {
        return text;
      },
    };
  };

  // --- Events of the stream
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let buffer = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      const lines = buffer.split("\n");
      buffer = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  }
  const addToolCall = (calls, delta) => {
    const at = (calls[delta.index ?? 0] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    if (delta.id) at.id = delta.id;
    at.function.name += delta.function?.name || "";
    at.function.arguments += delta.function?.arguments || "";
  };
  const showThought = (shown, piece) => {
    if (!shown.thought) {
      shown.thought = make("div", { class: "thought-text", dir: "auto" });
      const box = make("details", { class: "thought" }, make("summary", {}, words.thinking), shown.thought);
      shown.item.insertBefore(box, shown.text);
    }
    shown.thought.append(piece);
  };
  const take = (chunk, shown, out, calls) => {
    if (chunk.error) throw new Error(chunk.error.message);
    const choice = chunk.choices?.[0];
    if (!choice) return null;
    const delta = choice.delta || {};
    const thought = delta.reasoning_content || delta.reasoning;
    if (typeof thought === "string" && thought) showThought(shown, thought);
    if (delta.content) out.add(delta.content);
    if (delta.refusal) out.add(delta.refusal);
    (delta.tool_calls || []).forEach((one) => addToolCall(calls, one));
    return choice.finish_reason;
  };

  // --- Tools: what the model wants called is shown, and whoever tries it plays the tool.
  const pretty = (text) => {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  };
  const askForResults = (item, calls) => {
    const form = make("form", { class: "tool-calls" });
    calls.forEach((one, index) => {
      const id = `tool-${list.children.length}-${index}`;
      form.append(
        make("div", { class: "tool-call" },
          make("p", {}, `${words.toolCall} `, make("code", {}, one.function.name)),
          make("pre", { tabindex: "0" }, make("code", {}, pretty(one.function.arguments))),
          make("label", { for: id }, words.toolResult),
          make("textarea", { id, rows: "2", class: "code", required: true })),
      );
    });
    form.append(make("div", { class: "button-row end" }, make("button", { class: "button primary small" }, words.sendResults)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (running) return;
      const results = Array.from(form.querySelectorAll("textarea"), (area) => area.value);
      calls.forEach((one, index) => history.push({ role: "tool", tool_call_id: one.id, content: results[index] }));
      form.querySelectorAll("textarea, button").forEach((control) => (control.disabled = true));
      answer();
    });
    item.append(form);
    form.querySelector("textarea").focus();
  };

  // --- One answer
  const setRunning = (controller) => {
    running = controller;
    find("stop").hidden = !controller;
    find("send").hidden = Boolean(controller);
    find("clear").hidden = Boolean(controller) || !history.length;
  };
  const keep = (text, calls) => {
    const message = { role: "assistant", content: text || null };
    if (calls.length) message.tool_calls = calls;
    if (text || calls.length) history.push(message);
  };
  const answer = async () => {
    let body;
    try {
      body = requestBody();
      complain("");
    } catch (error) {
      return complain(error.message);
    }
    const controller = new AbortController();
    const shown = addMessage("assistant", body.model);
    const out = writer(shown.text);
    const calls = [];
    let callId = null;
    let finish = null;
    setRunning(controller);
    shown.item.classList.add("is-busy");
    try {
      const response = await call("/v1/chat/completions", { body: { ...body, stream: true }, signal: controller.signal });
      callId = response.headers.get("x-request-id");
      for await (const chunk of events(response.body)) finish = take(chunk, shown, out, calls) || finish;
      keep(await out.end(), calls.filter(Boolean));
      if (finish === "length") addNote(shown.item, words.cut, "warn");
      if (finish === "content_filter") addNote(shown.item, words.filtered, "warn");
    } catch (error) {
      const text = await out.end();
      if (error.name === "AbortError") {
        keep(text, []);
        addNote(shown.item, words.stopped, "warn");
      } else {
        addNote(shown.item, error instanceof TypeError ? words.broken : error.message, "bad", true);
      }
    }
    shown.item.classList.remove("is-busy");
    setRunning(null);
    showCode();
    if (callId) showCharge(shown.item, callId);
    if (calls.length && !controller.signal.aborted && finish) askForResults(shown.item, calls.filter(Boolean));
    else find("prompt").focus();
    return undefined;
  };

  // --- What people do
  const send = () => {
    const prompt = find("prompt");
    const text = prompt.value.trim();
    if (!text || running) return;
    history.push({ role: "user", content: text });
    addMessage("user", words.you).text.append(text);
    prompt.value = "";
    answer();
  };
  find("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  find("prompt").addEventListener("keydown", (event) => {
    // While an input method is composing, Enter belongs to it: Korean and Chinese are written so.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  find("stop").addEventListener("click", () => running?.abort());
  find("clear").addEventListener("click", () => {
    history = [];
    list.replaceChildren();
    find("blank").hidden = false;
    find("clear").hidden = true;
    complain("");
    find("prompt").focus();
  });
  document.querySelectorAll("[data-idea]").forEach((button) =>
    button.addEventListener("click", () => {
      find("prompt").value = button.textContent;
      find("prompt").focus();
    }),
  );

  // --- The price beside the model
  let prices = {};
  const showPrice = () => {
    const pricing = prices[find("model").value];
    const perMillion = (text) => `$${Number((Number(text) * 1e6).toPrecision(6))}`;
    find("price").textContent = pricing?.prompt
      ? `${perMillion(pricing.prompt)} ${words.in} · ${perMillion(pricing.completion)} ${words.out} ${words.million}`
      : "";
  };
  find("model").addEventListener("change", showPrice);
  find("code-box").addEventListener("toggle", showCode);
  read("/v1/models")
    .then(({ data }) => {
      prices = Object.fromEntries(data.map((model) => [model.id, model.pricing]));
      showPrice();
    })
    .catch(() => null);
  find("settings-error").hidden = true;
})();
