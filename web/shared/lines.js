// Answers that come in lines of JSON, each as soon as it is known; a refusal or a `problem` line is thrown.
import { t } from "./messages.js";

export async function* askLines(token, path, body) {
  let reply;
  try {
    reply = await fetch(`/api/v1${path}`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch { throw { title: t("no_network") }; }
  if (!reply.ok) throw await reply.json();
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = parts.pop();
    for (const line of parts.filter(Boolean).map((part) => JSON.parse(part))) {
      if (line.problem) throw line.problem;
      yield line;
    }
    if (done) return;
  }
}
