"""The store's housekeeping, in the background of each gateway."""

from __future__ import annotations

import asyncio
import sqlite3

from deployments.logs import logger
from glyph_core.storage.collections import Collections
from glyph_core.storage.files import FileStore

SWEEP_PERIOD_S = 60.0


async def keep_swept(store: FileStore, collections: Collections) -> None:
    """Clears up after gateways that were killed, then deletes what expires, until it is cancelled. Several gateways
    that do so at once don't harm each other."""

    def sweep() -> int:
        return store.sweep() + collections.sweep()

    work = store.remove_orphans
    while True:
        try:
            if num_removed := await asyncio.to_thread(work):
                logger.info("swept the store", extra={"removed": num_removed})
        except (OSError, sqlite3.Error) as error:  # a disk that is full or away may come back
            logger.warning(f"the store could not be swept: {error}")
        else:
            work = sweep
        await asyncio.sleep(SWEEP_PERIOD_S)
