from ktrdr.files import Models, Prices, checked_digest, sync_folder

__all__ = ["Models", "Prices", "checked_digest", "sync_folder"]
