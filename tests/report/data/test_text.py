import pytest

from experiments.report.data.text import aligned, booktabs, formatted, markdown, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.0625, "0.0625"), (3.125e-5, "3.125e-5"), (1e-3, "1e-3"), (0.5, "0.5"),
        (20, "20"), (1800, "1800"), (1.5625e-4, "1.5625e-4"), (2.0**-7, "7.8125e-3"),
        (2.0**-10, "9.77e-4"), (1 / 3, "0.333"), (123456, "1.23e5"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_a_decimal_is_as_it_is_typed_and_one_of_many_digits_is_cut(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.004, ".2f", "0.00"),
        (-0.004, "+.2f", "+0.00"),
        (-0.006, ".2f", "-0.01"),
        (-0.0, ".3g", "0"),
        (float("nan"), ".2f", "nan"),
    ],
)
def test_zero_has_no_sign(value, form, text):
    assert formatted(value, form) == text


def test_a_table_is_aligned_in_a_terminal_and_has_a_rule_in_markdown():
    table = [["", "error"], ["Adam + L2", "5"]]
    assert aligned(table) == "           error\nAdam + L2      5"
    assert markdown(table) == "|  | error |\n| --- | ---: |\n| Adam + L2 | 5 |"


def test_a_bar_within_a_cell_does_not_end_it_in_markdown():
    assert markdown([["|x|"]]).startswith(r"| \|x\| |")


def test_a_table_in_latex_has_the_rules_of_booktabs_and_no_character_that_means_something():
    rows = [["", "share_%"], ["A & B", "-1.50 [-2, 3]"], ["AdamW, lr 1e-3", "0.1 ± 0.2"]]
    lines = booktabs(rows).splitlines()
    assert lines[1:4] == [r"\toprule", r" & share\_\% \\", r"\midrule"]
    assert lines[4] == r"A \& B & $-$1.50 [$-$2, 3] \\"
    assert lines[5] == r"AdamW, lr 1e-3 & 0.1 $\pm$ 0.2 \\"
