"""Language modelling: windows of a text, masks, held-out tails, files, and what a run says."""

import hashlib
import json
import math
import os
import subprocess
import sys
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from experiments.errors import UserError
from experiments.record.identity import identity
from experiments.run import build, trainer
from experiments.run.cell import run, summarize
from experiments.seeding import stream
from experiments.tasks import IGNORED, Examples, text_files
from experiments.tasks import text as module
from experiments.tasks.text import Windows, draw_hiding, encode, hide, shakespeare, text
from tests.tiny_runs import composed, make_trainer, run_config

ROOT = Path(__file__).parents[2]
BOOK = "".join(
    f"{line * line} Sage mir, Muse, die Taten des vielgewanderten Mannes, λ→∞.\r\n"
    for line in range(30)
)
SMALL = ("task=text", "tracker=none", "progress=false", "task.context=8", "batch_size=4",
         "epochs=0.2", "warmup_epochs=0", "model.width=8", "model.heads=2",
         "model.layers=1")  # fmt: skip


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_bytes(BOOK.encode())
    return file


def checksum(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read(file, **settings):
    return text(text_file=str(file), checksum=checksum(file), **settings)


def config(file, *words):
    return run_config(*SMALL, f"text_file={file}", *words)


def test_characters_become_their_places_in_the_alphabet_and_back():
    alphabet, tokens = encode("banana →∞")
    assert alphabet == " abn→∞"
    assert "".join(alphabet[token] for token in tokens) == "banana →∞"


def test_the_last_tenth_of_the_characters_is_held_out(book):
    task = read(book, context=8)
    alphabet, tokens = encode(BOOK)
    held_out = math.ceil(len(BOOK) / 10)
    assert torch.equal(task.train.tokens, tokens[:-held_out])
    first = task.test.inputs.flatten()
    assert torch.equal(first, tokens[-held_out:][: len(first)].long())
    assert held_out - len(first) <= 8
    classes = len(alphabet)
    assert task.network == {"vocabulary": classes, "positions": 8, "classes": classes,
                            "causal": True, "all_positions": True}  # fmt: skip


def test_training_may_be_restricted_to_the_first_characters(book):
    whole, task = read(book, context=8), read(book, context=8, train_size=100)
    assert torch.equal(task.train.tokens, whole.train.tokens[:100])
    assert torch.equal(task.test.inputs, whole.test.inputs)
    rest = len(whole.train.tokens)
    assert len(read(book, context=8, train_size=rest).train.tokens) == rest
    for size in (8, rest + 1):
        with pytest.raises(UserError, match=f"task.train_size must .*got {size}"):
            read(book, context=8, train_size=size)


def test_a_window_is_to_be_continued_by_the_characters_after_each_of_its_own():
    windows = Windows(torch.arange(21, dtype=torch.int32), 5)
    assert len(windows) == 4
    examples = windows.measured()
    assert examples.inputs.tolist() == [[5 * i + j for j in range(5)] for i in range(4)]
    assert torch.equal(examples.labels, examples.inputs + 1)
    assert len(Windows(torch.arange(20), 5)) == 3  # the last one has nothing after it


def test_windows_are_drawn_at_every_place_equally_often():
    windows = Windows(torch.arange(13, dtype=torch.int32), 4)
    drawn = windows.at(windows.draw(9000, stream(0, "batches")))
    assert torch.equal(drawn.labels, drawn.inputs + 1)
    counts = torch.bincount(drawn.inputs[:, 0], minlength=9)
    assert len(counts) == 9
    assert (counts > 850).all()
    assert (counts < 1150).all()


def test_batches_follow_from_seed_and_step_alone(book):
    first, again, other = (make_trainer(config(book, f"seed={seed}")) for seed in (0, 0, 1))
    assert torch.equal(first.batches.at(3).inputs, again.batches.at(3).inputs)
    assert not torch.equal(first.batches.at(3).inputs, first.batches.at(4).inputs)
    assert not torch.equal(first.batches.at(3).inputs, other.batches.at(3).inputs)


def test_an_epoch_reads_as_many_characters_as_the_training_text_has(book):
    trainer = make_trainer(config(book, "epochs=3"))
    characters = trainer.budget.steps * trainer.budget.batch_size * 8 / 3
    assert characters == pytest.approx(len(trainer.task.train.tokens), rel=0.03)


def test_a_long_text_is_measured_on_windows_spread_over_it(monkeypatch):
    monkeypatch.setattr(module, "MEASURED", 4)
    starts = Windows(torch.arange(101), 10).measured().inputs[:, 0].tolist()
    assert starts == [0, 20, 50, 70]


def test_a_validation_split_is_the_end_of_the_training_text(book):
    whole = build.build_task(config(book))
    task = build.build_task(config(book, "validation_size=7"))
    assert len(task.train) == len(whole.train) - 7
    assert len(task.validation) == 7
    start = len(task.train) * 8
    assert torch.equal(task.validation.inputs[0], whole.train.tokens[start : start + 8].long())
    assert len(task.train.tokens) == start + 1
    with pytest.raises(UserError, match="validation_size must lie in"):
        build.check(config(book, f"validation_size={len(whole.train)}"))


def test_of_the_masked_positions_most_are_hidden_some_replaced_some_left():
    tokens = torch.arange(40).expand(3000, 40)
    draws = draw_hiding((3000, 40), 40, stream(0, "batches"))
    hidden = hide(tokens, 40, *draws)
    chosen = hidden.labels != IGNORED
    assert (chosen.sum(1) == 6).all()  # 15 % of 40
    assert torch.equal(hidden.labels[chosen], tokens[chosen])
    assert torch.equal(hidden.inputs[~chosen], tokens[~chosen])
    shown = hidden.inputs[chosen]
    share = (shown == 40).float().mean().item()
    assert share == pytest.approx(0.8, abs=0.01)
    kept = (shown == tokens[chosen]).float().mean().item()
    assert kept == pytest.approx(0.1 + 0.1 / 40, abs=0.01)
    replaced = shown[(shown != 40) & (shown != tokens[chosen])]
    assert replaced.unique().tolist() == list(range(40))
    draws = draw_hiding((3000, 40), 2, stream(0, "batches"))
    two_characters = hide(tokens % 2, 2, *draws).inputs[chosen]
    assert (two_characters == 2).float().mean().item() == pytest.approx(share)
    per_place = chosen.float().mean(0)
    assert per_place.min() > 0.12
    assert per_place.max() < 0.18


def test_even_the_shortest_window_has_something_to_predict():
    draws = draw_hiding((5, 2), 3, stream(0, "batches"))
    assert hide(torch.zeros(5, 2, dtype=torch.long), 3, *draws).predictions() == 5


def test_evaluation_masks_are_always_the_same_and_training_masks_never(book):
    first, second = (read(book, context=8, objective="masked") for _ in range(2))
    assert torch.equal(first.test.inputs, second.test.inputs)
    assert torch.equal(first.test.labels, second.test.labels)
    assert torch.equal(first.train.measured().labels, second.train.measured().labels)
    draws = [first.train.draw(50, stream(0, "batches", step)) for step in (0, 1)]
    drawn = [first.train.at(numbers).labels for numbers in draws]
    assert not torch.equal(*((labels == IGNORED) for labels in drawn))
    assert not first.network["causal"]
    assert first.network["vocabulary"] == len(encode(BOOK)[0]) + 1


class Certain(nn.Module):
    """Predicts the label 1 with the logits of a coin that falls so at odds 3 : 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, tokens):
        odds = torch.tensor([0.0, math.log(3.0)]) + self.weight * torch.tensor([0.0, 1.0])
        return odds.expand(*tokens.shape, 2)


@pytest.mark.parametrize("size", [1, 3, 5000])
def test_losses_and_errors_are_means_over_the_positions_that_are_predicted(book, monkeypatch, size):
    trainer = make_trainer(config(book))
    trainer.model = Certain()
    monkeypatch.setattr("experiments.run.trainer.EVALUATION_BATCH", size)
    labels = torch.tensor([[1, 0, IGNORED], [IGNORED, 1, IGNORED], [0, 0, 1]])
    measured = trainer.evaluate("test", Examples(torch.zeros_like(labels), labels))
    assert measured["test_error"] == pytest.approx(50)
    expected = -(3 * math.log(3 / 4) + 3 * math.log(1 / 4)) / 6
    assert measured["test_loss"] == pytest.approx(expected)


def test_a_training_step_takes_the_gradient_of_the_mean_over_predicted_positions(book):
    trainer = make_trainer(config(book))
    labels = torch.tensor([[1, 0, IGNORED], [IGNORED, IGNORED, 1]])
    trainer.batches.read = lambda *step: (Examples(torch.zeros_like(labels), labels), ())
    trainer.model = Certain()
    trainer.train_step()
    # the odds move with the weight: 3/4 less the label, of each of three positions
    assert trainer.model.weight.grad.item() == pytest.approx((2 * (3 / 4 - 1) + 3 / 4) / 3)


def test_a_text_learns_and_a_killed_run_ends_with_the_same_bits(book, in_tmp, monkeypatch):
    words = (*SMALL, f"text_file={book}", "epochs=2", "optim=adamw", "lr=0.03", "wd=0",
             "checkpoint_every=1e-9", "model.dropout=0.1")  # fmt: skip
    row = run(composed(*words), in_tmp / "whole")
    assert row["train_loss"] < math.log(len(encode(BOOK)[0])) - 1
    assert (row["task"], row["model"], row["task.objective"]) == ("text", "gpt", "causal")
    step = trainer.Trainer.train_step

    def dying(self):
        if self.step == 30:
            raise KeyboardInterrupt
        step(self)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "train_step", dying)
        with pytest.raises(KeyboardInterrupt):
            run(composed(*words), in_tmp / "killed")
    again = run(composed(*words), in_tmp / "killed")
    assert again | {"seconds": 0, "date": 0} == row | {"seconds": 0, "date": 0}


def test_the_training_set_is_measured_each_time_if_asked_for_and_changes_nothing(book, in_tmp):
    words = (*SMALL, f"text_file={book}", "epochs=0.4", "eval_every=0.1")
    for name, more in (("a", ()), ("b", ("eval_train=true",))):
        run(composed(*words, *more), in_tmp / name)
    plain, full = (
        [json.loads(line) for line in (in_tmp / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("a", "b")
    )
    assert len(full) == len(plain) > 3
    assert not any("train_loss" in point for point in plain[:-1])
    assert all("train_error" in point for point in full)
    assert [point | full[i] for i, point in enumerate(plain)] == full


def test_the_path_of_a_text_is_not_its_identity_but_its_characters_are(book, in_tmp, monkeypatch):
    row = run(composed(*SMALL, f"text_file={book}"), in_tmp / "a")
    assert row["task.checksum"] == checksum(book)
    assert row["id"] == identity(
        config(book).plain(), None
    )  # the checksum says which data these are
    assert row["data"] is None
    moved = book.rename(book.with_name("moved.txt"))
    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "run", None)
        assert run(composed(*SMALL, f"text_file={moved}"), in_tmp / "a") == row
    moved.write_text(BOOK + "!")
    other = run(composed(*SMALL, f"text_file={moved}"), in_tmp / "b")
    assert other["id"] != row["id"]


def test_a_text_that_changes_between_the_asking_and_the_running_is_refused(book, in_tmp):
    asked = config(book)
    book.write_text(BOOK + "!")
    with pytest.raises(UserError, match=r"book.txt changed since this run was asked for"):
        build.check(asked)


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_a_single_run_says_its_loss_in_bits_and_shows_a_sample(book, in_tmp, objective):
    words = (*SMALL, f"text_file={book}", f"task.objective={objective}")
    row = run(composed(*words, "progress=true"), in_tmp / "a")
    said = summarize(row, in_tmp / "a")
    nats = row["test_loss"]
    assert f"{nats:.4f} nats = {nats / math.log(2):.4f} bits a character" in said.splitlines()[0]
    assert said.splitlines()[-1].startswith("adamw lr=")
    sample = (in_tmp / "a" / "sample.txt").read_bytes().decode()
    run(composed(*words, "progress=true"), in_tmp / "again")
    assert (in_tmp / "again" / "sample.txt").read_bytes().decode() == sample
    tail = BOOK[-math.ceil(len(BOOK) / 10) :]
    if objective == "causal":
        assert sample.split("\n\n", 1)[1].startswith(tail[:8])
        assert len(sample.split("\n\n", 1)[1]) == 400 + 1
        run(composed(*words, "progress=true", "seed=1"), in_tmp / "other")
        assert (in_tmp / "other" / "sample.txt").read_bytes().decode() != sample
    else:
        hidden, filled = sample.split("\n\n", 1)[1].rstrip("\n").split("\n\n")
        assert "█" in hidden
        assert "█" not in filled
        same = [a == b for a, b in zip(hidden, tail, strict=False) if a != "█"]
        assert sum(same) / len(same) > 0.9


def test_a_sweep_and_a_run_that_diverges_leave_no_sample(book, in_tmp):
    run(composed(*SMALL, f"text_file={book}"), in_tmp / "a")
    assert not (in_tmp / "a" / "sample.txt").exists()
    words = ("optim=sgd", "lr=1e20", "progress=true")
    row = run(composed(*SMALL, f"text_file={book}", *words), in_tmp / "b")
    assert row["status"] == "diverged"
    assert not (in_tmp / "b" / "sample.txt").exists()


def test_it_works_as_typed(book):
    command = [sys.executable, str(ROOT / "train.py"), "task=text", "text_file=book.txt", *SMALL]
    done = subprocess.run(
        [*command, "progress=true"], cwd=book.parent, capture_output=True, text=True,
        env=os.environ | {"DATA_DIR": "none"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bits a character" in done.stdout
    assert "adamw lr=" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a" * 80, "has 80 characters; with task.context=8 it needs at least 81"),
        (b"", "has 0 characters"),
        (b"abc\xff", "is not utf-8 text: invalid start byte at byte 3; .* iconv -f ENCODING"),
        (("Muse" * 99).encode("utf-16"), "is not utf-8 text: .* at byte 0"),
    ],
)
def test_a_text_that_cannot_be_learned_is_refused_in_one_line(tmp_path, content, words):
    file = tmp_path / "book.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"book.txt {words}") as error:
        read(file, context=8)
    assert "\n" not in str(error.value)


def test_the_shortest_text_that_is_taken_trains(tmp_path, in_tmp):
    file = tmp_path / "book.txt"
    file.write_text("ab" * 40 + "a")
    row = run(composed(*SMALL, f"text_file={file}", "epochs=1"), in_tmp / "a")
    assert row["status"] == "finished"


def test_a_path_may_begin_with_the_persons_home(book, in_tmp, monkeypatch):
    monkeypatch.setenv("HOME", str(book.parent))
    row = run(composed(*SMALL, f"text_file='~/{book.name}'"), in_tmp / "a")
    assert row["task.checksum"] == checksum(book)
    assert row["id"] == run(composed(*SMALL, f"text_file={book}"), in_tmp / "b")["id"]


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: reading would take forever
    with pytest.raises(UserError, match="cannot read .*pipe: it is no regular file"):
        build.check(config(tmp_path / "pipe"))


def test_a_file_without_permission_is_named(book, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    asked = config(book)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match="cannot read .*book.txt: Permission denied"):
        build.check(asked)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=text"], "task=text needs text_file=PATH"),
        (["task=text", "text_file=none.txt"], "cannot read none.txt: No such file"),
        (["task=text", "text_file=."], "cannot read .: Is a directory"),
        (["task=modular", "text_file=a.txt"], "task=modular reads no text_file.* use task=text"),
        (["task=text", "text_file={book}", "task.context=0"], "task.context .* 1, got 0"),
        (["task=text", "text_file={book}", "task.objective=gpt"], "task.objective .* got gpt"),
        (["task=text", "text_file={book}", "model=resnet8"], "resnet8 does not fit task=text"),
        (["task=modular", "model=vit"], "model=vit does not fit task=modular"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(book, in_tmp, words, said):
    words = [word.format(book=book) for word in words]
    with pytest.raises(UserError, match=said) as error:
        build.check(run_config("tracker=none", *words))
    assert "\n" not in str(error.value)


@pytest.fixture
def published(monkeypatch):
    """A text in place of Shakespeare's, and whether the network was used."""
    content, asked = BOOK.encode(), []
    monkeypatch.setattr(text_files, "SHA256", hashlib.sha256(content).hexdigest())

    def answer(address, timeout):
        asked.append(address)
        return BytesIO(content)

    monkeypatch.setattr(text_files, "urlopen", answer)
    return asked


def test_shakespeare_is_downloaded_once(tmp_path, published):
    for _ in range(2):
        task = shakespeare(data_dir=str(tmp_path / "data"), context=8)
        assert len(task.train.tokens) == len(BOOK) * 9 // 10
    assert published == [text_files.ADDRESS]
    assert (tmp_path / "data/tinyshakespeare/input.txt").read_bytes() == BOOK.encode()


def test_a_file_that_is_not_shakespeare_is_refused(tmp_path, published):
    file = tmp_path / "tinyshakespeare" / "input.txt"
    file.parent.mkdir()
    file.write_text(BOOK + "!")
    with pytest.raises(UserError, match=r"input.txt .* is not the text of .* remove it"):
        shakespeare(data_dir=str(tmp_path))
    assert published == []


@pytest.mark.parametrize("error", [URLError("no route"), TimeoutError(), IncompleteRead(b"")])
def test_without_the_network_the_ways_to_a_text_are_named(tmp_path, monkeypatch, error):
    def fails(address, timeout):
        raise error

    monkeypatch.setattr(text_files, "urlopen", fails)
    with pytest.raises(UserError, match=r"no .*input.txt.* failed .*DATA_DIR.*text_file=PATH"):
        shakespeare(data_dir=str(tmp_path))


def test_what_was_downloaded_is_checked_before_it_is_kept(tmp_path, published, monkeypatch):
    monkeypatch.setattr(text_files, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="is not the text expected"):
        shakespeare(data_dir=str(tmp_path))
    assert not (tmp_path / "tinyshakespeare").exists()
