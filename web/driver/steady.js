// A thumb that was on its way to something else has not pressed this.
import { useEffect, useState } from "preact/hooks";

const STEADY_MS = 500;

// False for a moment whenever `what` has changed: a second tap, or one meant for what lay here before, means nothing.
export function useSteady(what) {
  const [seen, setSeen] = useState(null);
  useEffect(() => {
    const soon = setTimeout(() => setSeen(what), STEADY_MS);
    return () => clearTimeout(soon);
  }, [what]);
  return seen === what;
}
