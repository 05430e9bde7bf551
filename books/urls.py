from django.urls import path

from books import views

urlpatterns = [
    path("fills", views.FillsView.as_view()),
    path("fills.csv", views.FillsCsvView.as_view()),
    path("fills.ndjson", views.FillsNdjsonView.as_view()),
    path("positions", views.PositionsView.as_view()),
    path("account", views.AccountView.as_view()),
    path("audit.ndjson", views.AuditView.as_view()),
    path("statement", views.StatementView.as_view()),
    path("statement.csv", views.StatementCsvView.as_view()),
]
