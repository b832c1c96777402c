"""Secrets, names and places are taken out; what says how a kernel ran stays."""

import msgspec
import pytest

from rocmoe.profiles.bundle import privacy
from rocmoe.profiles.bundle.privacy import make_scrubber
from rocmoe.profiles.environment import collect_environment

ENVIRON = {
    "HOME": "/data/people/marvin",
    "USER": "marvin",
    "HOSTNAME": "deepthought",
    "HF_TOKEN": "hf_abcdefgh",
    "WANDB_API_KEY": "0123abcd4567",
    "MY_PASSPHRASE": "so long",
    "SOME_KEY_COUNT": "4096000",
    "SSH_AUTH_SOCK": "/tmp/agent",
}


@pytest.fixture
def scrubber(monkeypatch):
    monkeypatch.setattr(privacy.socket, "gethostname", lambda: "heart-of-gold.example.org")
    monkeypatch.setattr(privacy.getpass, "getuser", lambda: "zaphod")
    return make_scrubber(ENVIRON)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("token hf_abcdefgh!", "token <secret>!"),
        ("xhf_abcdefghx", "x<secret>x"),
        ("key=0123abcd4567", "key=<secret>"),
        ("so long and thanks", "<secret> and thanks"),
        ("count 4096000", "count 4096000"),
        ("/data/people/marvin/x/kernel.py:3", ".../kernel.py:3"),
        ("/home/ford/x.py", "~/x.py"),
        ("file:///home/ford/x.py", "file://~/x.py"),
        ("file:///srv/ford/x.py", "file://.../x.py"),
        ("-I/home/ford/include", "-I~/include"),
        ("PATH=/srv/a:/srv/b", "PATH=.../a:.../b"),
        ('File "/srv/ford/x.py", line 3', 'File ".../x.py", line 3'),
        ("/opt/rocm/lib/x.so", "/opt/rocm/lib/x.so"),
        ("/usr/lib/python3/x.py", "/usr/lib/python3/x.py"),
        ("ops/core/x.py", "ops/core/x.py"),
        ("1/2 of it", "1/2 of it"),
        ("marvin@deepthought", "<user>@<host>"),
        ("zaphod on heart-of-gold.example.org", "<user> on <host>"),
        ("zaphod on heart-of-gold", "<user> on <host>"),
        ("marvinous", "marvinous"),
        ("https://bob:pw@host.example/x", "https://<user>@host.example/x"),
        ("https://host.example/x", "https://host.example/x"),
        ("weights[3, 0] is 0.5, wanted 1.0", "weights[3, 0] is 0.5, wanted 1.0"),
    ],
)
def test_texts_are_cleaned(scrubber, text, cleaned):
    assert scrubber.clean(text) == cleaned


def test_all_texts_of_a_record_are_cleaned(scrubber):
    found = scrubber.clean_all({"a": ["marvin", 3, None], "b": {"c": "/srv/x/y"}})
    assert found == {"a": ["<user>", 3, None], "b": {"c": ".../y"}}


def test_the_environment_keeps_settings_and_loses_the_rest(scrubber):
    variables = {
        "TRITON_CACHE_DIR": "/scratch/marvin/cache",
        "TRITON_REMOTE": "hf_abcdefgh",
        "AITER_API_KEY": "aiter-key-of-mine",
        "AITER_AUTH": "basic abc",
        "HSA_XNACK": "1",
        "ROCM_PATH": "/opt/rocm",
        "HF_TOKEN": "hf_abcdefgh",
    }
    environment = collect_environment(variables=variables)
    cleaned = scrubber.clean_environment(environment)
    assert cleaned.variables == {
        "HSA_XNACK": "1",
        "ROCM_PATH": "/opt/rocm",
        "TRITON_CACHE_DIR": ".../cache",
        "TRITON_REMOTE": "<secret>",
    }
    assert msgspec.structs.replace(cleaned, variables={}) == msgspec.structs.replace(
        environment, variables={}
    )


def test_names_that_everybody_has_are_left():
    words = dict(make_scrubber({"HOME": "/root", "USER": "root", "HOSTNAME": "localhost"}).words)
    assert not {"root", "localhost"} & set(words)
