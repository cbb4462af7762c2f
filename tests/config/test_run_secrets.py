import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.run_secrets import MAKERS, SecretsError, load_secrets


def test_secrets_are_made_once_private_and_all_different(tmp_path):
    made = load_secrets(tmp_path)
    assert made == load_secrets(tmp_path)
    assert set(made) == set(MAKERS)
    assert len(set(made.values())) == len(made)
    assert len(base64.b64decode(made["TOLLGATE_CREDENTIAL_KEY"], validate=True)) == 32
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_missing_secret_is_added_and_the_others_stay(tmp_path):
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"TOLLGATE_KEY_PEPPER": "old", "ANOTHER": "kept"}))
    path.chmod(0o644)
    made = load_secrets(tmp_path)
    assert made["TOLLGATE_KEY_PEPPER"] == "old"
    assert json.loads(path.read_text()) == {"ANOTHER": "kept", **made}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_old_keys_of_credentials_are_passed_on_while_an_operator_keeps_them_there(tmp_path):
    assert "TOLLGATE_CREDENTIAL_KEYS_OLD" not in load_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    kept = json.loads(path.read_text()) | {"TOLLGATE_CREDENTIAL_KEYS_OLD": "b2xk"}
    path.write_text(json.dumps(kept))
    assert load_secrets(tmp_path)["TOLLGATE_CREDENTIAL_KEYS_OLD"] == "b2xk"
    assert json.loads(path.read_text()) == kept


@pytest.mark.parametrize("content", ["", "{", "[]", '{"TOLLGATE_KEY_PEPPER": 5}'])
def test_a_file_that_makes_no_sense_is_refused_and_kept(tmp_path, content):
    (tmp_path / "secrets.json").write_text(content)
    with pytest.raises(SecretsError, match=r"secrets\.json"):
        load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == content


def test_commands_that_start_at_once_get_the_same_secrets(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(load_secrets, [tmp_path] * 16))
    assert all(answer == answers[0] for answer in answers)
