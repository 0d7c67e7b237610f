"""The database session, as the layers above storage name it."""

from sqlalchemy.ext.asyncio import AsyncSession

Session = AsyncSession
"""One transaction's session; use cases receive it and never commit."""

__all__ = ["Session"]
