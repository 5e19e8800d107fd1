"""The runs table read back from W&B, and figures logged there."""

import pandas as pd
import pytest

from experiments.record.schema import COLUMNS

READ = """
from experiments.errors import UserError
from experiments.tracking.wandb_runs import log_figures, runs_table
"""

REFUSED = """
try:
    {call}
except UserError as error:
    assert "\\n" not in str(error)
    print(error)
else:
    raise AssertionError("accepted")
"""


def test_rows_come_back_as_they_were_logged(python, server, login, tmp_path):
    output = python(
        f"""{READ}
cell("a", finish=row("a", clipped="high", modulus=31))
cell("b", finish=row("b", status="diverged", **dict.fromkeys(("test_error", "test_loss"))))
cell("c", config=dict(name="another"))
try:
    cell("d", error=KeyError())
except KeyError:
    pass
runs_table("me/lab", "sweep").to_pickle("table.pkl")
""",
        env=login,
    )
    assert "skipped 1 incomplete W&B runs: cell d (row lacks ['batch_size', " in output
    table = pd.read_pickle(tmp_path / "table.pkl").set_index("id")
    assert list(table.index) == ["a", "b"]
    assert [*table.columns] == [*list(COLUMNS)[1:], "modulus"]
    assert {name: str(dtype) for name, dtype in table.dtypes.items() if name in COLUMNS} == {
        name: dtype for name, (dtype, _) in COLUMNS.items() if name != "id"
    }
    numbers = [name for name, (dtype, _) in COLUMNS.items() if dtype != "string"]
    for name in numbers:
        assert table.loc["a", name] == list(COLUMNS).index(name)
    assert table.loc["a", ["status", "clipped", "modulus"]].tolist() == ["finished", "high", 31]
    assert table.loc["b", "status"] == "diverged"
    # The points of b had a test error; its row has none.
    assert table.loc["b", ["test_error", "test_loss", "clipped", "modulus"]].isna().all()


def test_more_runs_than_fit_on_a_page_are_all_read(python, server, login):
    code = f"""{READ}
import experiments.tracking.wandb_runs
experiments.tracking.wandb_runs.PAGE = 2
for name in "abcde":
    cell(name)
print(*runs_table("me/lab", "sweep")["id"])
"""
    assert python(code, env=login).splitlines()[-1] == "a b c d e"


def test_figures_go_to_one_report_of_the_experiment(python, server, login):
    code = f"""{READ}
from PIL import Image
Image.new("RGB", (4, 4)).save("heatmap.png")
Path("heatmap.svg").write_text("<svg/>")
Path("report.html").write_text("<p>page</p>")
for _ in range(2):
    log_figures("me/lab", "sweep", ["heatmap.png", "heatmap.svg", "report.html"])
cell("a")
assert len(runs_table("me/lab", "sweep")) == 1
"""
    output = python(code, env=login)
    assert f"INFO W&B: figures of sweep at {server.url}/me/lab/runs/report-sweep" in output
    assert "skipped" not in output  # the report is no run
    report = server.runs["report-sweep"]
    assert (report.job_type, report.group, report.state) == ("report", "sweep", "finished")
    assert [row["heatmap"]["_type"] for row in report.history] == ["image-file"] * 2
    pictures = [content for name, content in report.files.items() if name.endswith(".png")]
    assert pictures
    (page,) = {content for name, content in report.files.items() if name.endswith(".html")}
    assert page == b"<p>page</p>"  # and no style sheet of W&B's
    assert all(content.startswith(b"\x89PNG") for content in pictures)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("runs_table('lab', 'sweep')", "a W&B project is named ENTITY/PROJECT, not 'lab'"),
        ("log_figures('lab/', 'sweep', [__file__])", "no figure to log"),
        ("log_figures('me/lab', 'sweep', ['absent.png'])", "no figure to log: absent.png"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(call, message, python, server):
    output = python(READ + "__file__ = 'x.svg'" + REFUSED.format(call=call))
    assert output.startswith(message)
    assert server.requests == []


def test_without_a_login_nothing_is_read(python, server):
    output = python(READ + REFUSED.format(call="runs_table('me/lab', 'sweep')"))
    assert output.startswith("no W&B login: ")
    assert server.requests == []


def test_an_unknown_project_or_an_unknown_experiment_is_named(python, server, login):
    calls = ("runs_table('me/other', 'sweep')", "runs_table('me/lab', 'other')")
    refused = "".join(REFUSED.format(call=call) for call in calls)
    output = python(f"{READ}\ncell('a')\n{refused}", env=login).splitlines()[2:]
    assert output == [
        "W&B cannot serve me/other (network, key or name?): "
        "ValueError: Could not find project other",
        "me/lab on W&B has no complete run of 'other'",
    ]


def test_a_server_that_cannot_be_reached_is_said_in_one_line(python, login):
    short = (
        "import experiments.tracking.wandb_runs\nexperiments.tracking.wandb_runs.API_TIMEOUT = 1\n"
    )
    code = READ + short + REFUSED.format(call="runs_table('me/lab', 'sweep')")
    output = python(code, env=login | {"WANDB_BASE_URL": "http://127.0.0.1:9"})
    assert output.startswith("W&B cannot serve me/lab (")


def test_a_server_that_does_not_take_figures_is_said_in_one_line(python, server, login):
    server.failing = True
    code = f"""{READ}
import experiments.tracking.wandb_runs
experiments.tracking.wandb_runs.INIT_TIMEOUT = 1
from PIL import Image
Image.new("RGB", (4, 4)).save("heatmap.png")
""" + REFUSED.format(call="log_figures('me/lab', 'sweep', ['heatmap.png'])")
    assert python(code, env=login).startswith("W&B cannot serve me/lab (")
