"""Today's address of an item, where addresses hold for a day: from a template, or from a function of the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

from labelloop.errors import BadItemError, ConfigError, LabelLoopError
from labelloop.errors.masking import has_credentials, masked
from labelloop.machine.modules import load
from labelloop.types import Item

ID = "{id}"
"""What stands for an item's id in a template."""


@dataclass(frozen=True, slots=True)
class Addressing:
    """Gives items their address of now. Without a setting, they keep the one they have.

    Args:
        setting: `https://host/{id}.png?key=...`, or `module:function`, which is given the item and returns its address.

    Raises:
        ConfigError: It is neither.
    """

    setting: str = ""

    def __post_init__(self) -> None:
        if self.setting and not self._is_template and ":" not in self.setting:
            raise _neither(self.setting)
        if self._is_template and ID not in self.setting:
            raise _neither(self.setting)

    def __bool__(self) -> bool:
        return bool(self.setting)

    @property
    def _is_template(self) -> bool:
        return "://" in self.setting

    def prove(self) -> None:
        """Load the function, if it is one.

        Raises:
            ConfigError: It cannot be loaded, or nobody has allowed the workspace's code to run.
        """
        if self.setting and not self._is_template:
            self._function()

    def __call__(self, item: Item) -> Item:
        """The item at its address of now; a text, which has none, as it is.

        Raises:
            BadItemError: The function fails, or gives no address.
            ConfigError: As `prove`.
        """
        if not self.setting or item.modality == "text":
            return item
        if self._is_template:
            return replace(item, uri=self.setting.replace(ID, quote(item.id, safe="")))
        return replace(item, uri=self._asked(item))

    def _asked(self, item: Item) -> str:
        function = self._function()
        try:
            address = function(item)
        except LabelLoopError:
            raise
        except Exception as error:  # whatever a function of others raises about one item
            raise BadItemError(
                f"{self.setting} gives no address for item {item.id!r}: {type(error).__name__}: {error}", "correct it"
            ) from error
        if not isinstance(address, str) or "://" not in address:
            raise BadItemError(f"{self.setting} gives no address for item {item.id!r}, but {address!r}", "correct it")
        if has_credentials(address):
            raise BadItemError(
                f"{self.setting} gives an address with a password for item {item.id!r}: {masked(address)}",
                "give links without one, or signed ones: everybody who answers sees them",
            )
        return address

    def _function(self) -> Callable[[Item], object]:
        try:
            found: Callable[[Item], object] = load(self.setting)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"dataset.address {self.setting!r} cannot be loaded: {error}",
                "check the spelling module:function, and that the module is beside labelloop.toml or installed",
            ) from error
        return found


def _neither(setting: str) -> ConfigError:
    return ConfigError(
        f"dataset.address is {setting!r}, which is no address with {ID} in it and no module:function",
        f'set address = "https://host/{ID}.png" or "module:function" under [dataset]',
    )
