from django.apps import AppConfig
from django.conf import settings


class RoutingConfig(AppConfig):
    name = "routing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Every process knows the venues that are switched on, also one that opens no world."""
        from routing.venues import register

        modes: dict[str, str] = settings.VENUE_ACCESS["modes"]
        for name in modes:
            register(name)
