"""Every metric the server exposes, on one page (Prometheus names, base units)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

http_requests = Counter("onward_http_requests_total", "HTTP requests", ["method", "route", "status"])
http_seconds = Histogram("onward_http_seconds", "HTTP request duration", ["route"], buckets=MS_BUCKETS)
problems = Counter("onward_problems_total", "Errors told to clients, by code", ["code"])
platform_tx = Counter("onward_platform_tx_total", "Transactions on the cross-tenant path, by reason", ["reason"])
task_restarts = Counter("onward_task_restarts_total", "Supervised tasks that failed and were started again", ["task"])

outbox_lag = Gauge(
    "onward_outbox_lag_seconds", "Age of the oldest event not yet handled", multiprocess_mode="mostrecent"
)
outbox_handled = Counter("onward_outbox_handled_total", "Events handled", ["consumer"])
outbox_failed = Counter(
    "onward_outbox_failed_total", "Events whose handling failed and will be tried again", ["consumer"]
)

sockets_open = Gauge("onward_sockets_open", "Open sockets", ["kind"], multiprocess_mode="livesum")
frames_refused = Counter("onward_frames_refused_total", "Frames refused, by code", ["code"])
fixes_in = Counter("onward_fixes_total", "Fixes that became durable")
fixes_rejected = Counter("onward_fixes_rejected_total", "Fixes rejected, by reason", ["reason"])
ingest_batch = Histogram(
    "onward_ingest_batch_fixes", "Fixes per Redis batch", buckets=(1, 2, 5, 10, 25, 50, 100, 250, 1000)
)
ingest_seconds = Histogram("onward_ingest_seconds", "Time to make a batch of fixes durable", buckets=MS_BUCKETS)
wakes = Counter("onward_wakes_total", "Requests to wake a driver's phone, by outcome", ["outcome"])
history_rows = Counter("onward_history_rows_total", "Positions written to history")
viewer_frames = Counter("onward_viewer_frames_total", "Frames sent to viewers", ["type"])

tick_seconds = Histogram(
    "onward_dispatch_tick_seconds", "Dispatch tick duration, by phase", ["phase"], buckets=MS_BUCKETS
)
ticks_failed = Counter("onward_dispatch_ticks_failed_total", "Ticks that failed for one operator")
planner_misses = Counter("onward_planner_misses_total", "Questions the planner's process did not answer")
offers = Counter("onward_offers_total", "Offers, by outcome", ["outcome"])
plan_dropped = Counter("onward_plan_dropped_total", "Planned offers not committed, by reason", ["reason"])
alerts_open = Gauge("onward_alerts_open", "Alerts that are open now, by code", ["code"], multiprocess_mode="mostrecent")
deliveries = Counter("onward_deliveries_total", "Deliveries entering a status", ["status"])
