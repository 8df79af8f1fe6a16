// Which driver this phone belongs to: his session stays until he signs out, also without a network.
const KEY = "driver";

export const account = (() => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } })();

// `session`: what signing in answered.
export function keepAccount({ token, principal }) {
  localStorage.setItem(KEY, JSON.stringify({ token, driver_id: principal.driver_id, name: principal.name }));
}
// What he has queued stays on the phone, under his name: it is sent when he signs in again.
export function forgetAccount() {
  localStorage.removeItem(KEY);
}
