"""Every URL of Django's; the two hot endpoints and the sockets are in `orderengine.asgi`."""

from django.contrib import admin
from django.urls import include, path

from orderengine import health, tasks_page, trade
from orders import mock_api
from orders.openapi import DocsView, SchemaView

urlpatterns = [
    path("", trade.page, name="trade"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("api/mock/market", mock_api.MockMarketView.as_view()),
    path("api/mock/chain", mock_api.MockChainView.as_view()),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="docs"),
    path("api/", include("orders.urls")),
    path("flower/", tasks_page.flower, name="flower"),
    path("flower/<path:path>", tasks_page.flower),
    path("admin/", admin.site.urls),
]
handler404 = "orders.errors.not_found"
handler500 = "orders.errors.server_error"
