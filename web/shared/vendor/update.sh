#!/bin/sh
# Fetches the browser libraries at their pinned versions, compresses them and writes SHA256SUMS. Needs npm; run it only to upgrade.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
take() { # package version "from:to from:to"
  (cd "$work" && npm pack --silent "$1@$2" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz)
  for pair in $3; do sed '/^\/\/# sourceMappingURL=/d' "$work/package/${pair%%:*}" > "${pair##*:}"; done
  rm -rf "$work/package"
}
take maplibre-gl 6.17.0 "dist/maplibre-gl.mjs:maplibre-gl.mjs dist/maplibre-gl-worker.mjs:maplibre-gl-worker.mjs dist/maplibre-gl.css:maplibre-gl.css LICENSE.txt:LICENSE-maplibre-gl.txt"
take preact 11.2.0 "dist/preact.mjs:preact.mjs hooks/dist/hooks.mjs:preact-hooks.mjs LICENSE:LICENSE-preact.txt"
take @preact/signals 2.11.4 "dist/signals.mjs:signals.mjs LICENSE:LICENSE-preact-signals.txt"
take @preact/signals-core 1.14.5 "dist/signals-core.mjs:signals-core.mjs"
take htm 3.1.1 "dist/htm.mjs:htm.mjs LICENSE:LICENSE-htm.txt"
take uplot 1.6.32 "dist/uPlot.esm.js:uplot.mjs dist/uPlot.min.css:uplot.css LICENSE:LICENSE-uplot.txt"
rm -rf "$work"
sha256sum -- *.mjs *.css > SHA256SUMS
gzip -9nkf -- *.mjs *.css
