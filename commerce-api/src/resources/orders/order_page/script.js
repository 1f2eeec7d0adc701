"use strict";
const element = (id) => document.getElementById(id);
const link = new URLSearchParams(location.hash.slice(1));
const [id, token] = [link.get("order"), link.get("token")];
const address = "/v1/orders/" + encodeURIComponent(id);
// The secret stays neither in the address bar nor in the history.
history.replaceState(null, "", location.pathname);
const message = (text) => { element("message").textContent = text; };
const money = ({ amount, currency }) => {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
};
const show = (order) => {
  element("title").textContent = "Your order " + order.number;
  element("status").textContent = order.status.replaceAll("_", " ");
  element("total").textContent = money(order.total);
  const line = ({ quantity, title }) => {
    const item = document.createElement("li");
    item.textContent = quantity + " × " + title;
    return item;
  };
  element("lines").replaceChildren(...order.lines.map(line));
  element("cancel").hidden = !["pending_payment", "paid"].includes(order.status);
  element("order").hidden = false;
};
const ask = async (path, method) => {
  message("…");
  try {
    const answer = await fetch(path, { method, headers: { "Order-Token": token } });
    const body = await answer.json();
    if (answer.ok) {
      show(body);
      message("");
    } else {
      message(answer.status === 404 ? "The link does not work any more. Please ask for a new one." : body.detail);
    }
  } catch {
    message("The shop could not be reached. Please try again.");
  }
};
element("cancel").addEventListener("click", () => ask(address + "/cancel", "POST"));
// A link that is opened where the page is open only changes the hash.
addEventListener("hashchange", () => location.reload());
if (id && token) ask(address, "GET");
else message("Please open the link from your mail: this address has no token.");
