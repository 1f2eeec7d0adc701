"use strict";
const form = document.getElementById("form");
const message = document.getElementById("message");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// The secret stays neither in the address bar nor in the history.
history.replaceState(null, "", location.pathname);
form.hidden = !token;
message.textContent = token ? "" : "Please open the link from your mail: this address has no token.";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  message.textContent = "…";
  const body = JSON.stringify({ token, new_password: document.getElementById("password").value });
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch("/v1/auth/password/reset", { method: "POST", headers, body });
    if (answer.ok) {
      form.hidden = true;
      message.textContent = "Your new password is set. You can log in with it now.";
      return;
    }
    const problem = await answer.json();
    message.textContent = problem.code === "validation_failed" ? "The password " + problem.detail : problem.detail;
    form.hidden = problem.code === "invalid_reset_token";
  } catch {
    message.textContent = "The shop could not be reached. Please try again.";
  }
});
