"""When this happened, do that: every link between rooms, on one page."""

from __future__ import annotations

from dispatch import closing
from dispatch import reactions as dispatch
from dispatch.live import LiveFacts
from dispatch.tick import Dispatcher
from finance import service as finance
from kernel.db import Connection
from kernel.events import Event, EventType
from kernel.outbox import Consumer, Reactions
from storefront_api.orders import service as orders


def reactions(live: LiveFacts, dispatcher: Dispatcher) -> Reactions:
    """Return the table. Within a row, effects on data come before what people are shown."""

    async def wake(con: Connection, event: Event) -> None:
        dispatcher.wake()

    async def tell_customer(con: Connection, event: Event) -> None:
        assert event.business_id is not None
        await live.tell_customer(event.business_id, event.subject)

    show = Consumer("live.delivery", live.on_delivery)
    route = Consumer("live.route", live.on_route)
    driver = Consumer("live.driver", live.on_driver)
    offer = Consumer("live.offer", live.on_offer)
    message = Consumer("live.message", live.on_message)
    move = Consumer("live.move", live.on_move)
    store = Consumer("live.store", live.on_store)
    alert = Consumer("live.alert", live.on_alert)
    plan = Consumer("dispatch.wake", wake)
    follow = Consumer("orders.follow_delivery", orders.on_delivery)
    customer = Consumer("live.customer", tell_customer)
    e = EventType
    return {
        e.ORDER_PLACED: (customer,),
        e.ORDER_ACCEPTED: (Consumer("dispatch.create", dispatch.on_order_accepted), customer),
        e.ORDER_READY: (Consumer("dispatch.order_ready", dispatch.on_order_ready),),
        e.ORDER_REJECTED: (customer,),
        e.ORDER_CANCELED: (Consumer("dispatch.order_ended", dispatch.on_order_ended), customer),
        e.DELIVERY_CREATED: (plan, show),
        e.DELIVERY_OFFERED: (show,),
        e.DELIVERY_UNASSIGNED: (plan, show, route),
        e.DELIVERY_ASSIGNED: (Consumer("dispatch.revoke_losers", dispatch.on_delivery_assigned), show, route),
        e.DELIVERY_EN_ROUTE_TO_PICKUP: (show, route),
        e.DELIVERY_ARRIVED_AT_PICKUP: (show, route),
        e.DELIVERY_PICKED_UP: (follow, show, route),
        e.DELIVERY_EN_ROUTE_TO_DROPOFF: (show, route),
        e.DELIVERY_ARRIVED_AT_DROPOFF: (show, route),
        e.DELIVERY_DELIVERED: (follow, Consumer("finance.earning", finance.on_delivered), show, route, plan),
        e.DELIVERY_CANCELED: (Consumer("dispatch.free", dispatch.on_delivery_canceled), follow, show, route),
        e.DELIVERY_FAILED: (follow, show, route),
        e.DELIVERY_RETURNING: (show, route),
        e.DELIVERY_RETURNED: (show, route),
        e.DELIVERY_ETA_CHANGED: (show,),
        e.DELIVERY_DELAYED: (show,),
        e.DELIVERY_UPDATED: (show,),
        e.DELIVERY_REORDERED: (show, route),
        e.DELIVERY_UNDELIVERABLE: (show,),
        e.MESSAGE_SENT: (message, show),
        e.STORE_CLOSED: (Consumer("dispatch.store_closed", closing.on_store_closed), store, plan),
        e.STORE_OPENED: (Consumer("dispatch.store_opened", closing.on_store_opened), store, plan),
        e.ALERT_RAISED: (alert,),
        e.ALERT_CHANGED: (alert,),
        e.ALERT_ENDED: (alert,),
        e.OFFER_SENT: (offer,),
        e.OFFER_ACCEPTED: (offer,),
        e.OFFER_DECLINED: (offer, plan),
        e.OFFER_EXPIRED: (offer, plan),
        e.OFFER_REVOKED: (offer, plan),
        e.DRIVER_STATE_CHANGED: (driver, plan),
        e.DRIVER_MOVE_SUGGESTED: (move, driver),
        e.DRIVER_MOVE_ENDED: (move, driver),
        e.DRIVER_ARRIVED: (Consumer("dispatch.arrived", dispatch.on_driver_arrived),),
    }
