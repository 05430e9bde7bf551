from django.urls import path

from orders import api, preview, prices_api

urlpatterns = [
    path("orders", api.OrdersView.as_view()),
    path("orders/<str:order_id>", api.OrderView.as_view()),
    path("orders/<str:order_id>/events", api.EventsView.as_view()),
    path("orders/<str:order_id>/quotes", api.QuotesOfOrderView.as_view()),
    path("preview/<str:pair>", preview.PreviewView.as_view()),
    path("pairs", prices_api.PairsView.as_view()),
    path("quotes/<str:pair>", prices_api.QuotesView.as_view()),
    path("ws-ticket", api.TicketView.as_view()),
    path("dead-letters", api.DeadLettersView.as_view()),
    path("dead-letters/<int:letter_id>/requeue", api.RequeueView.as_view()),
]
