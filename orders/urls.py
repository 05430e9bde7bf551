from django.urls import path

from orders.http import asyncapi, dead_letters, plans, preview, prices, risk, tokens, views, wallets

urlpatterns = [
    path("asyncapi", asyncapi.view),
    path("orders", views.OrdersView.as_view()),
    path("orders/test", preview.TestView.as_view()),
    path("orders/<str:order_id>", views.OrderView.as_view()),
    path("orders/<str:order_id>/events", views.EventsView.as_view()),
    path("orders/<str:order_id>/quotes", views.QuotesOfOrderView.as_view()),
    path("cancel-after", views.CancelAfterView.as_view()),
    path("plans", plans.PlansView.as_view()),
    path("plans/<str:plan_id>", plans.PlanView.as_view()),
    path("plans/<str:plan_id>/pause", plans.PauseView.as_view()),
    path("plans/<str:plan_id>/resume", plans.ResumeView.as_view()),
    path("plans/<str:plan_id>/events", plans.PlanEventsView.as_view()),
    path("preview/<str:pair>", preview.PreviewView.as_view()),
    path("risk", risk.RiskView.as_view()),
    path("trading-state", risk.TradingStateView.as_view()),
    path("tokens", tokens.TokensView.as_view()),
    path("pairs", prices.PairsView.as_view()),
    path("quotes/<str:pair>", prices.QuotesView.as_view()),
    path("wallets", wallets.WalletsView.as_view()),
    path("wallets/<int:wallet_id>/airdrop", wallets.AirdropView.as_view()),
    path("ws-ticket", views.TicketView.as_view()),
    path("dead-letters", dead_letters.DeadLettersView.as_view()),
    path("dead-letters/<int:letter_id>/requeue", dead_letters.RequeueView.as_view()),
]
