"""`everleaf ask`: what it asks fits the inventory's contract, and what comes back is written as it is."""

import json
from pathlib import Path

import httpx
import pytest

from services.cli.ask import main
from shared.errors import Invalid
from tests.architecture.tree import ROOT

CONTRACT = json.loads((ROOT / "services" / "inventory" / "openapi.json").read_text())


@pytest.fixture(autouse=True)
def nobody_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profile of whoever runs the tests is taken."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("EVERLEAF_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text("secret\n")
    return str(path)


class Platform(httpx.MockTransport):
    """Answers what its contract knows, and nothing else."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(self.answer)
        self.body, self.status = body, status
        self.asked: list[httpx.Request] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        operation = CONTRACT["paths"][request.url.path.removeprefix("/inventory")]["get"]
        known = {parameter["name"] for parameter in operation["parameters"]}
        assert request.url.params.keys() <= known
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(self.status, content=self.body)


def test_the_answer_is_written_as_it_comes(token: str, capsysbinary: pytest.CaptureFixture[bytes]):
    platform = Platform("subject\r\nCN=é\r\n".encode())
    code = main(
        ["--token-file", token, "--sort=-expires", "--columns", "subject", "ca or current"],
        transport=platform,
    )
    assert code == 0
    assert capsysbinary.readouterr().out == "subject\r\nCN=é\r\n".encode()
    [request] = platform.asked
    assert dict(request.url.params) == {
        "query": "ca or current",
        "format": "csv",
        "columns": "subject",
        "sort": "-expires",
    }


def test_a_count_is_one_number(token: str, capsys: pytest.CaptureFixture[str]):
    assert main(["--count", "--token-file", token], transport=Platform(b'{"count": 42}')) == 0
    assert capsys.readouterr().out == "42\n"


def test_a_mistake_is_marked_where_it_is(token: str, capsys: pytest.CaptureFixture[str]):
    problem = {
        "detail": "Column 12 of the query: found `abc`, expected a whole number.",
        "next_step": "Correct it.",
        "errors": [{"pointer": "/query/query", "message": "…", "column": "12"}],
    }
    platform = Platform(json.dumps(problem).encode(), 422)
    assert main(["--token-file", token, "key.size < abc"], transport=platform) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, second, third = said.err.splitlines()
    assert first[second.index("^")] == "a"
    assert third == f"everleaf: {problem['detail']} Next step: Correct it."


def test_a_platform_that_gives_no_answer_is_said_so(token: str, capsys: pytest.CaptureFixture[str]):
    assert main(["--token-file", token], transport=Platform(b"Bad gateway", 502)) == 1
    assert "502" in capsys.readouterr().err

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut", request=request)

    assert main(["--token-file", token], transport=httpx.MockTransport(broken)) == 1
    assert "No answer came (ReadError: cut)" in capsys.readouterr().err


def test_no_token_goes_out_unencrypted_or_where_there_is_none(
    token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    url = "http://everleaf.example.com"
    assert main(["--token-file", token, "--url", url], transport=Platform(b"")) == 2
    assert "unencrypted" in capsys.readouterr().err
    with pytest.raises(Invalid, match="token cannot be read"):
        main(["--token-file", str(tmp_path / "none")], transport=Platform(b""))
