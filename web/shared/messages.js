// Every text a person reads, by language: `?lang=`, else what the browser prefers, else English.
import en from "./catalog-en.js";

const CATALOGS = { en: () => en, fi: async () => (await import("./catalog-fi.js")).default };
const asked = new URLSearchParams(location.search).get("lang") || navigator.language || "en";
export const language = CATALOGS[asked.slice(0, 2)] ? asked.slice(0, 2) : "en";
// Dates and money follow the whole preference (en-GB is not en-US) as long as its language is the one shown.
export const locale = navigator.language?.startsWith(language) ? navigator.language : language;
const catalog = await CATALOGS[language]();
const plural = new Intl.PluralRules(language);
document.documentElement.lang = language;

// t("stops_before", { n: 2 }): fills in {n}; "one|many" picks by n. A text nobody wrote shows its key, so tests find it.
export function t(key, values = {}) {
  let text = catalog[key] ?? en[key] ?? key;
  if (text.includes("|")) text = text.split("|")[plural.select(values.n) === "one" ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
// Why something was declined, failed or canceled: a code in the reader's language, or the words somebody wrote.
export const reasonWords = (why) => (has(`reason_${why}`) ? t(`reason_${why}`) : why);
export const has = (key) => key in en;
