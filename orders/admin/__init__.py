"""The operator's view of orders: everything can be seen, and what is changed goes through `orders.commands`.

Django's autodiscovery imports this package; each module registers its own pages.
"""

from orders.admin import dead_letters, executors, orders, plans

__all__ = ["dead_letters", "executors", "orders", "plans"]
