"""`python -m experiments` says what there is to run, and takes a word for a name of it."""

import pytest

from emnist_jax.cli.options import guarded
from experiments import __main__ as listing


def test_every_module_is_listed_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["experiments"])
    listing.main()
    printed = capsys.readouterr().out
    for name in ("sgd", "paper", "sweep"):
        assert f"\n{name} " in printed
    assert all(len(line) <= 120 for line in printed.splitlines())
    assert not any(f"\n{name} " in printed for name in ("report", "claims", "_options"))


@pytest.mark.parametrize(
    ("word", "said"), [("sdg", 'did you mean "sgd"'), ("sgd", "python -m experiments.sgd")]
)
def test_a_word_gets_a_helpful_line(word, said, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["experiments", word])
    with pytest.raises(SystemExit) as stopped:
        guarded(listing.main)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
