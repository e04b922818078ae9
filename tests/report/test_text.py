"""Numbers and strings as the page prints them."""

import json

import pytest

from neucollapse.report._text import clean, embed, number, plot_text, shorten


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.0, "−1"),
        (0.59564, "0.5956"),
        (0.001, "0.001"),
        (0.000999, "9.99×10⁻⁴"),
        (3.2e-7, "3.2×10⁻⁷"),
        (-3.2e-7, "−3.2×10⁻⁷"),
        (12345.6, "12346"),
        (99999.9, "100000"),
        (1.5e6, "1.5×10⁶"),
        (100.0, "100"),
        (1e-300, "1×10⁻³⁰⁰"),
        (None, "—"),
        (float("nan"), "—"),
        (float("inf"), "—"),
    ],
)
def test_numbers_are_short_and_keep_four_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value", [1.2345e-12, 0.0123449, 0.5, 7.777, 4321.0, 9.87e20])
def test_numbers_say_what_they_are(value):
    text = number(value).replace("−", "-").replace("×10", "e")
    assert float(text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))) == pytest.approx(value, rel=5e-4)


def test_embedded_json_cannot_leave_its_script_and_reads_back():
    content = {"a": "</script><!-- --> & \u2028\u2029 鳥", "b": [1.5, None, True]}
    text = embed(content)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == content


def test_embedding_refuses_numbers_that_are_not_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        embed([float("nan")])


def test_clean_replaces_what_could_rearrange_or_break_a_page():
    content = {"a\x00": ["\u202eevil", "\ud800", "line\nbreak", "鳥 é 👩‍🔬", 3, None]}
    assert clean(content) == {"a\ufffd": ["\ufffdevil", "\ufffd", "line\nbreak", "鳥 é 👩‍🔬", 3, None]}
    json.dumps(clean(content), ensure_ascii=False).encode()


def test_plot_text_is_text_to_plotly():
    assert plot_text("<img src=x> & \n b") == "&lt;img src=x&gt; &amp; b"


def test_shorten_keeps_the_limit():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert len(shorten("word " * 20, 14)) <= 14
