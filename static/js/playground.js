// What chat and images of the playground share: the key, calls to the gateway, the balance. Loaded before either.
window.playground = (() => {
  "use strict";

  const root = document.getElementById("playground");
  if (!root) return null;
  const words = root.dataset;
  let key = null;

  // A key is fetched when it is first needed, kept in this variable alone, and asked for anew a minute before it ends.
  const getKey = async () => {
    if (key && (!key.expires_at || Date.parse(key.expires_at) - Date.now() > 60000)) return key.key;
    const body = new URLSearchParams({ group: words.group });
    const answer = await fetch(words.keyUrl, { method: "POST", body, headers: { "X-CSRFToken": words.csrf } });
    if (!answer.ok || answer.redirected) throw new Error(words.offline);
    key = await answer.json();
    return key.key;
  };

  // An error of the gateway, in its own words.
  const refusal = async (answer) => {
    const told = await answer.json().catch(() => null);
    return new Error(told?.error?.message || `${answer.status} ${answer.statusText}`);
  };

  const call = async (path, { body, signal, headers = {} } = {}) => {
    const isForm = body instanceof FormData;
    const options = {
      method: body ? "POST" : "GET",
      headers: { Authorization: `Bearer ${await getKey()}`, ...headers },
      credentials: "omit",
      signal,
    };
    if (body) options.body = isForm ? body : JSON.stringify(body);
    if (body && !isForm) options.headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error(words.offline);
    }
    if (answer.status === 401) key = null;
    if (!answer.ok) throw await refusal(answer);
    return answer;
  };
  const read = async (path, options) => (await call(path, options)).json();

  const layOut = async (text) => {
    const body = new URLSearchParams({ text });
    const answer = await fetch(words.markdownUrl, { method: "POST", body, headers: { "X-CSRFToken": words.csrf } });
    return answer.ok && !answer.redirected ? answer.text() : null;
  };

  const showBalance = async () => {
    const { available } = await read("/v1/balance");
    document.getElementById("available").textContent = `$${available}`;
  };

  // An element with attributes and children; text is text, never markup.
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(attribute, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(attribute, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  return { root, words, call, read, layOut, showBalance, make };
})();
