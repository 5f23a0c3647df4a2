from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who someone is and what they may do."""

    name = "accounts"
