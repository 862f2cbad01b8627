"""`ktrdr model verify` and `ktrdr jobs provenance`: a model that was downloaded from a real service, and others."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService
from strategies import short

from ktrdr.audit.signed.notes import ED25519, SigningKey


@pytest.fixture(scope="module")
def job(service: RunningService) -> str:
    job_id = service.client.submit(short(1), symbols=["IBM"])["id"]
    service.wait_for(job_id, "completed")
    return job_id


@pytest.fixture(scope="module")
def downloaded(service: RunningService, job: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("downloaded")
    service.client.model(job, folder / "model.zip")
    with zipfile.ZipFile(folder / "model.zip") as archive:
        archive.extractall(folder / "model")
    return folder / "model"


@pytest.fixture
def model(downloaded: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(downloaded, tmp_path / "model"))


@pytest.fixture
def other_service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path / "other")
    try:
        running.start("serve")
        yield running
    finally:
        running.close()


def test_a_downloaded_model_is_verified_offline(capsys: pytest.CaptureFixture[str], downloaded: Path, job: str) -> None:
    ran = ktrdr(capsys, "model", "verify", downloaded)
    assert ran.code == 0
    *checks, verdict = ran.out.splitlines()
    assert [check.partition(":")[0] for check in checks] == ["right"] * 5
    assert verdict.startswith(f"sound: the model of job {job}, as ktrdr.local/")
    assert verdict.endswith("you have to know from elsewhere")


def test_the_key_and_the_service_may_be_named(
    capsys: pytest.CaptureFixture[str], service: RunningService, downloaded: Path
) -> None:
    key = service.client.log_keys()["keys"][0]
    ran = ktrdr(capsys, "model", "verify", downloaded, "--key", key, "--url", service.url, "--json")
    assert ran.code == 0
    assert ran.json["sound"] is True
    assert (ran.json["key"], ran.json["key_was_given"]) == (key, True)
    assert ran.json["checks"][-1] == f"{service.url} has the same log up to that checkpoint"
    assert ran.json["checkpoint"]["size"] >= ran.json["position"]


def test_another_service_does_not_know_its_checkpoint(
    capsys: pytest.CaptureFixture[str], other_service: RunningService, downloaded: Path
) -> None:
    ran = ktrdr(capsys, "model", "verify", downloaded, "--url", other_service.url)
    assert ran.code == 1
    assert "does not have" in ran.out
    assert ran.out.splitlines()[-1] == "not sound: the service has another log"


def test_a_changed_model_is_refused(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    with (model / "weights.safetensors").open("ab") as file:
        file.write(b"\0")
    ran = ktrdr(capsys, "model", "verify", model)
    assert ran.code == 1
    assert "wrong: " in ran.out
    assert "weights.safetensors has the SHA-256" in ran.out
    assert ran.out.splitlines()[-1] == "not sound: one finding"
    as_json = ktrdr(capsys, "model", "verify", model, "--json")
    assert (as_json.code, as_json.json["sound"]) == (1, False)


def test_a_key_that_did_not_sign_and_one_that_is_none_are_told(
    capsys: pytest.CaptureFixture[str], downloaded: Path
) -> None:
    other = str(SigningKey("ktrdr.local/other", ED25519, bytes(32)).verifier)
    ran = ktrdr(capsys, "model", "verify", downloaded, "--key", other)
    assert ran.code == 1
    assert "is not signed by ktrdr.local/other" in ran.out
    assert ktrdr(capsys, "model", "verify", downloaded, "--key", "me").code == 2
    assert ktrdr(capsys, "model", "verify", downloaded / "nowhere").code == 2


def test_the_statement_alone_is_that_of_the_zip(
    capsys: pytest.CaptureFixture[str], service: RunningService, downloaded: Path, job: str, tmp_path: Path
) -> None:
    whole = (downloaded / "provenance.json").read_text()
    ran = ktrdr(capsys, "jobs", "provenance", job, "--output", tmp_path, "--url", service.url)
    written = Path(ran.out.strip())
    assert written.parent == tmp_path
    shown = ktrdr(capsys, "jobs", "provenance", job, "--url", service.url)
    for text in (written.read_text(), shown.out):
        (tmp_path / "model").mkdir(exist_ok=True)
        shutil.copytree(downloaded, tmp_path / "model", dirs_exist_ok=True)
        (tmp_path / "model" / "provenance.json").write_text(text)
        assert ktrdr(capsys, "model", "verify", tmp_path / "model").code == 0
    assert shown.json.keys() == {"payload", "payloadType", "signatures"}
    assert len(whole) > 1000
