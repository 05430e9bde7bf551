from django.urls import path

from webhooks import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view()),
    path("webhooks/<str:webhook_id>", views.WebhookView.as_view()),
    path("webhooks/<str:webhook_id>/rotate", views.RotateView.as_view()),
    path("webhooks/<str:webhook_id>/replay", views.ReplayView.as_view()),
    path("webhooks/<str:webhook_id>/deliveries", views.DeliveriesView.as_view()),
]
