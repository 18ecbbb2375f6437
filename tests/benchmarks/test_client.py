"""The client's part of the benchmarks runs."""

from pathlib import Path

from tests.benchmarks.test_benchmarks import measured


def test_the_client_is_compared_with_bare_calls_and_a_bare_program(tmp_path: Path) -> None:
    found = measured(tmp_path, "--peer=eventfs", only=("client", "clientwait"))
    values = {row["key"]: row["values"]["eventfs"] for row in found["rows"]}
    calls = {
        f"client {place} {call}" for place in ("one CPU", "free") for call in ("send", "receive")
    }
    waits = {f"clientwait free {key}" for key in ("client", "bare", "ratio")}
    assert values.keys() == calls | waits
    assert all(value > 0 for value in values.values())
    assert all(not row["notes"] for row in found["rows"])
