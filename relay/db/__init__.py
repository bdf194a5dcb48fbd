"""The stores, once per engine. Nothing above this package knows which engine is in use."""
