"""A choice in the address: a link is followed, a click is written down, and what is no option counts as the default."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def script():
    import streamlit as st

    from pages.widgets.address_choice import choose_from_address

    chosen = choose_from_address("part", "Part", ["a", "b", "c"], "a", names={"b": "The second"})
    st.markdown(f"chosen {chosen}")


@pytest.mark.parametrize(("asked", "chosen"), [(None, "a"), ("b", "b"), ("c", "c"), ("z", "a")])
def test_a_link_is_followed_and_a_mistyped_one_is_the_default(asked, chosen):
    page = AppTest.from_function(script)
    if asked:
        page.query_params["part"] = asked
    page.run()
    assert not page.exception
    assert page.markdown[0].value == f"chosen {chosen}"
    assert page.query_params["part"] == chosen


def test_a_click_stands_in_the_address_and_the_back_button_counts():
    page = AppTest.from_function(script).run()
    page.button_group[0].set_value("c").run()
    assert page.markdown[0].value == "chosen c"
    assert page.query_params["part"] == "c"
    page.query_params["part"] = "b"
    page.run()
    assert page.markdown[0].value == "chosen b"
