"""Every URL of Django's; the two hot endpoints and the sockets are in `orderengine.asgi`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from console import flower_proxy, quality_page
from orderengine import health
from orders.http import mock
from orders.http.openapi import DocsView, SchemaView
from trade import sign_in, views

urlpatterns = [
    path("", views.page, name="trade"),
    path("login", sign_in.SignIn.as_view(), name="login"),
    path("logout", sign_in.SignOut.as_view(), name="logout"),
    path("password", sign_in.ChangePassword.as_view(), name="password"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("api/mock/market", mock.MockMarketView.as_view()),
    path("api/mock/chain", mock.MockChainView.as_view()),
    path("api/localnet/fault", mock.LocalnetFaultView.as_view()),
    path("api/localnet/pool", mock.LocalnetPoolView.as_view()),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="docs"),
    path("api/", include("orders.urls")),
    path("api/", include("webhooks.urls")),
    path("api/", include("books.urls")),
    path("flower/", flower_proxy.flower, name="flower"),
    path("flower/<path:path>", flower_proxy.flower),
    # One page where passwords are changed, and wrong ones counted: Django's own does not count them.
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/quality/", quality_page.view, name="quality"),
    path("admin/", admin.site.urls),
]
handler404 = "orders.http.errors.not_found"
handler500 = "orders.http.errors.server_error"
