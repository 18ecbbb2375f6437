"""The examples of docs/limits.md."""

import re
from pathlib import Path

from eventfs import config
from eventfs.queues.ledger import UNLIMITED, Limits, Uid

DOCUMENT = Path(__file__).parents[2] / "docs" / "limits.md"


def test_the_documents_examples_are_read(tmp_path: Path) -> None:
    main, quota = re.findall(r"```ini\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "eventfs.conf").write_text(main)
    (tmp_path / "quotas").mkdir()
    # Whoever reads it puts a user of theirs for ann.
    (tmp_path / "quotas" / "ann").write_text(quota.replace("ann", "root"))
    settings = config.read(tmp_path / "eventfs.conf")
    assert settings.default == Limits(100, 10_000, 1_000, 64 * 2**20)
    assert (settings.size_bytes, settings.nr_inodes) == (2 * 2**30, 1_000_000)
    assert settings.users == {Uid(0): Limits(UNLIMITED, 10_000, 1_000, 2**30)}
