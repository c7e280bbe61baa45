"""What a Wyoming client is called, and what is kept of its sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from wordspot.runtime.keep import Keeper
from wordspot.runtime.kept_files import KeptFolder, satellite_folder
from wordspot.server.refusals import note_of_client, shown_peer
from wordspot.server.served import ServedModel


class Satellite:
    """A client, under the name that it gives or its address.

    Attributes:
        peer: its address, with the port.
        name: that it gave; at first its address without the port.

    Args:
        address: as a socket gives it.
        folder: where sound is kept; None: nowhere.
    """

    def __init__(self, address: object, folder: KeptFolder | None = None) -> None:
        self.peer, self._folder = shown_peer(address), folder
        self.name = self.peer.rpartition(":")[0].strip("[]") or self.peer

    def note_name(self, data: dict[str, Any]) -> None:
        """Take the name from the data of an event, if there is one: ``{"context": {"satellite": NAME}}``."""
        context = data.get("context")
        name = context.get("satellite") if isinstance(context, dict) else None
        if isinstance(name, str) and name.strip():
            self.name = name.strip()

    def keeper(self, model: ServedModel, sample_rate: int, wanted: Callable[[str], bool]) -> Keeper | None:
        """What keeps the sound of a new stream of this client; None if nothing is kept.

        Args:
            model: that processes the stream.
            sample_rate: of the stream, in Hz.
            wanted: whether the client waits for a word of the model.
        """
        if self._folder is None:
            return None
        card, note = model.card, partial(note_of_client, self.peer)
        place = satellite_folder(self.name)
        return Keeper(self._folder, card, card.decoder, sample_rate, place=place, wanted=wanted, on_note=note)
