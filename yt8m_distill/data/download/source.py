"""Where a partition of YouTube-8M comes from: its servers, and the plans kept from earlier downloads."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import urllib.parse

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.download.file import open_regular
from yt8m_distill.data.download.http import HttpClient, TransferError
from yt8m_distill.data.download.plan import MAX_PLAN_BYTES, PlannedFile, check_partition, parse_plan, plan_of
from yt8m_distill.data.errors import DataError

MIRRORS = ("us", "eu", "asia")
_HOST = "data.yt8m.org"
_PLAN_FILE = "download_plan.json"
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """A partition on a server.

    Attributes:
      partition: `<version>/<kind>/<split>`.
      mirror: of the dataset's own servers: us, eu or asia.
      base_url: of a private mirror with the same folders; then `mirror` does not matter.

    Raises:
      ValueError: one of these is none.
    """

    partition: str
    mirror: str = "us"
    base_url: str = ""

    def __post_init__(self):
        check_partition(self.partition)
        if self.mirror not in MIRRORS:
            raise ValueError(f"The mirrors are {', '.join(MIRRORS)}. Received: {self.mirror!r}.")
        if self.base_url and not _is_base_url(self.base_url):
            raise ValueError(f"A base URL is like http://host:8080/yt8m. Received: {self.base_url!r}.")

    @property
    def plan_url(self) -> str:
        version, kind, split = self.partition.split("/")
        return f"{self._base(_HOST)}/{version}/download_plans/{kind}_{split}.json"

    def file_url(self, name: str) -> str:
        return f"{self._base(f'{self.mirror}.{_HOST}')}/{self.partition}/{name}"

    def _base(self, host):
        return self.base_url.rstrip("/") or f"http://{host}"


def fetch_plan(source: Source, client: HttpClient, directory: str = "") -> tuple[list[PlannedFile], bool]:
    """Gets a partition's plan from its server, or, if that does not answer, the one kept in `directory`.

    Returns:
      The plan's files, and whether the server answered.

    Raises:
      DataError: the plan is none, see `parse_plan`.
      TransferError: there is neither.
    """
    try:
        return parse_plan(client.read(source.plan_url, MAX_PLAN_BYTES), source.plan_url), True
    except TransferError as error:
        kept = {} if error.is_permanent or not directory else _read_plans(directory)
        if source.partition not in kept:
            raise
        _logger.warning("%s. Going by the plan kept in %s: files are verified, none downloaded.", error, directory)
        return kept[source.partition], False


def keep_plan(source: Source, files: list[PlannedFile], directory: str) -> None:
    """Keeps a plan in `directory`, which may hold several partitions.

    Raises:
      ValueError: the directory holds a partition whose files have the same names.
      OSError: it cannot be written.
    """
    plans = _read_plans(directory)
    names = {file.local_name.casefold() for file in files}
    for partition, others in plans.items():
        if partition != source.partition and names & {file.local_name.casefold() for file in others}:
            raise ValueError(
                f"{directory} holds partition {partition}, whose files have the names of those of {source.partition}. "
                "Choose another directory."
            )
    if plans.get(source.partition) == files:
        return
    if source.partition in plans:
        _logger.warning("The plan of %s is another than at the last download to %s.", source.partition, directory)
    plans[source.partition] = files
    entries = {name: {"files": {file.name: file.md5 for file in plans[name]}} for name in sorted(plans)}
    with open_atomic(os.path.join(directory, _PLAN_FILE)) as file:
        json.dump({"partitions": entries}, file, indent=1)


def _read_plans(directory):
    """The kept plans, partition -> files."""
    path = os.path.join(directory, _PLAN_FILE)
    try:
        with open_regular(path) as file:
            partitions = json.load(file)["partitions"]
        return {name: plan_of(plan, path) for name, plan in partitions.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: is damaged; delete it, and it is fetched again.") from error


def _is_base_url(text):
    try:
        parts = urllib.parse.urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = text.isascii() and text.isprintable() and " " not in text and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_valid and is_plain
